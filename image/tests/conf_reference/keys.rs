//! What is said of each key.

/// A table of `ezio.conf`.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The line that begins it.
    pub(crate) head: &'static str,
    pub(crate) title: &'static str,
    pub(crate) says: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What may stand there, with its unit.
    pub(crate) value: &'static str,
    /// Behind a `=`, what means the same as leaving it out; else words.
    pub(crate) default: &'static str,
    pub(crate) example: &'static str,
    /// What has to stand beside it, in the same table.
    pub(crate) needs: &'static str,
    pub(crate) says: &'static str,
}

const fn key(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    example: &'static str,
    says: &'static str,
) -> Key {
    Key { name, value, default, example, needs: "", says }
}

impl Key {
    const fn beside(self, needs: &'static str) -> Self {
        Self { needs, ..self }
    }
}

pub(crate) const HEAD: &str = "\
# ezio.conf

This file says which image goes to which disk of which machine, and what follows. It is TOML. Keys at the top hold for every
machine; each `[[machine]]` changes some of them for the machines that it matches, and the first that matches is taken. The tables
`[disk]`, `[seed]`, `[write]`, `[hooks]`, `[uefi]`, `[identity]` and `[windows]` are replaced as a whole, not key by key. A key that is not listed here
is a mistake, which is told with its line.

Sizes are bytes, or text with a unit: `\"100G\"` is 100,000,000,000 bytes, `\"100GiB\"` is 107,374,182,400. Times are text with a unit: `\"90s\"`, `\"15m\"`,
`\"1h\"`. Patterns take `*`, `?` and `[ab]`, and upper and lower case are the same. Where a list may stand, one value may, too.

This page is made from the types that read the file.
";

pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "",
        head: "",
        title: "At the top",
        says: "For every machine. All but `report` may stand in a `[[machine]]` as well.",
        keys: &[
            key(
                "image",
                "name on this server, `http://`, `https://` or `tftp://` URL, magnet link, or path of a `.torrent`",
                "the machine is refused, unless its `[[machine]]` or `[[disk]]` names one",
                "image = \"windows-11\"",
                "The image to deploy.",
            ),
            key(
                "partition",
                "name of a partition in the image",
                "the only one of the image that has content",
                "partition = \"sda1\"",
                "What is written where the target is a partition.",
            )
            .beside("target = \"/dev/sda1\""),
            key(
                "target",
                "`disk`, path of a disk or partition, `LABEL=…` or `PARTUUID=…`",
                "=\"disk\"",
                "target = \"/dev/sda1\"",
                "What is written: the disk that `[disk]` finds, or one partition that exists already.",
            ),
            key(
                "grow",
                "`none`, `last`, name of a partition in the image, or `PARTITION/VOLUME` of LVM",
                "=\"none\"",
                "grow = \"last\"",
                "What fills a disk that is larger than the image.",
            ),
            key(
                "end",
                "`reboot`, `poweroff`, `shell` or `hold`",
                "=\"reboot\"",
                "end = \"poweroff\"",
                "What follows a run that went well.",
            ),
            key(
                "on-error",
                "the same",
                "=\"hold\"",
                "on-error = \"shell\"",
                "What follows a run that failed.",
            ),
            key(
                "report",
                "`http://` or `https://` URL",
                "the server that the file came from",
                "report = \"http://10.77.0.1:8080/api/report\"",
                "Where machines report to.",
            ),
        ],
    },
    Table {
        name: "disk",
        head: "[[disk]]",
        title: "`[disk]`, or several `[[disk]]`",
        says: "Which disk may be written. All that is given must hold, and exactly one disk must fit. The disk that the system runs from, disks in use and read-only disks never fit. Several `[[disk]]` take a disk each, in their order.",
        keys: &[
            key(
                "image",
                "as `image` at the top",
                "the image at the top",
                "image = \"data\"",
                "The image for this disk; in `[[disk]]` only.",
            ),
            key(
                "path",
                "device paths",
                "any",
                "path = \"/dev/nvme0n1\"",
                "The device. Links below `/dev/disk` exist on running systems only, not in network boot.",
            ),
            key("min-size", "size in bytes", "any", "min-size = \"100G\"", "The smallest size that fits."),
            key("max-size", "size in bytes", "any", "max-size = \"2T\"", "The largest size that fits."),
            key(
                "bus",
                "`nvme`, `ata` (also `sata`, `ide`), `usb`, `virtio`, `scsi` (also `sas`) or `mmc`",
                "any",
                "bus = [\"nvme\", \"ata\"]",
                "How the disk is attached.",
            ),
            key("model", "patterns", "any", "model = \"Samsung*\"", "The model."),
            key("serial", "patterns", "any", "serial = \"S4EV*\"", "The serial number."),
            key("wwn", "patterns", "any", "wwn = \"eui.*\"", "The world-wide name."),
            key(
                "removable",
                "`true` or `false`",
                "fixed disks, and removable ones that `path` names",
                "removable = true",
                "Only removable disks, or only fixed ones.",
            ),
            key(
                "all",
                "`true` or `false`",
                "=false",
                "all = true",
                "Every disk that fits is written, instead of exactly one.",
            ),
            key(
                "overwrite",
                "`blank`, `ours` or `any`",
                "=\"ours\"",
                "overwrite = \"any\"",
                "What may be on the disk. `blank`: nothing. `ours`: also what this server deployed in this machine. Whatever else is there waits for an approval, unless `any` is said.",
            ),
        ],
    },
    Table {
        name: "seed",
        head: "[seed]",
        title: "`[seed]`",
        says: "How long a machine that is done serves others: until the first of what is given. Instead of the table, `seed = \"none\"` serves nobody and `seed = \"forever\"` has no end. Without either it is until the server lets the machine go, or nobody has asked for 15 minutes.",
        keys: &[
            key(
                "ratio",
                "multiple of the image's bytes, 0 to 1000000",
                "no such bound",
                "ratio = 1.5",
                "Until so much was sent.",
            ),
            key(
                "idle",
                "time",
                "no such bound",
                "idle = \"5m\"",
                "Until nobody has asked for anything for so long.",
            ),
            key("time", "time", "no such bound", "time = \"1h\"", "For so long; `0s` is not at all."),
            key(
                "until-released",
                "`true` or `false`",
                "`false`, once the table is there",
                "until-released = true",
                "Until the server lets the machine go, because nobody in the room needs it any more.",
            ),
        ],
    },
    Table {
        name: "write",
        head: "[write]",
        title: "`[write]`",
        says: "How disks are written.",
        keys: &[
            key(
                "reuse",
                "`auto`, `never` or `always`",
                "=\"auto\"",
                "reuse = \"never\"",
                "Whether what a disk holds of the image already stays there. `auto` reads some dozen pieces first and looks on if one in ten fits.",
            ),
            key(
                "verify",
                "`read-back` or `written`",
                "read back while others are served",
                "verify = \"read-back\"",
                "Whether all is read from the disk once more: always to the end, or never.",
            ),
        ],
    },
    Table {
        name: "hooks",
        head: "[hooks]",
        title: "`[hooks]`",
        says: "Shell command lines that the machine runs. One that fails ends the run as failed.",
        keys: &[
            key(
                "before",
                "list of command lines",
                "=[]",
                "before = [\"hwclock --systohc\"]",
                "Before anything is written.",
            ),
            key(
                "after",
                "list of command lines",
                "=[]",
                "after = [\"echo \\\"$EZIO_IMAGE is on $EZIO_DISKS\\\"\"]",
                "When everything is on the disk, before the end.",
            ),
        ],
    },
    Table {
        name: "uefi",
        head: "[uefi]",
        title: "`[uefi]`",
        says: "What is done to the firmware of a UEFI machine whose whole disk was written.",
        keys: &[key(
            "entries",
            "`true` or `false`",
            "=true",
            "entries = false",
            "It gets boot entries for the systems on the disk, and loses those for what was there before.",
        )],
    },
    Table {
        name: "identity",
        head: "[identity]",
        title: "`[identity]`",
        says: "What makes a Linux differ from the next clone. What is said here must be done, or the run fails; what is not said is done where a Linux is found on a whole disk that is written.",
        keys: &[
            key(
                "hostname",
                "template: `{{mac}}`, `{{serial}}`, `{{uuid}}`, `{{product}}`, `{{counter:2}}`, or a column of `hosts`",
                "the image's host name stays",
                "hostname = \"lab-{{counter:2}}\"",
                "The host name.",
            ),
            key(
                "hosts",
                "path of a CSV file beside `ezio.conf`",
                "no table",
                "hosts = \"hosts.csv\"",
                "A table of machines and their values.",
            ),
            key(
                "machine-id",
                "`true` or `false`",
                "renewed where it can be",
                "machine-id = false",
                "A new `/etc/machine-id`.",
            ),
            key(
                "ssh-host-keys",
                "`true` or `false`",
                "renewed where it can be",
                "ssh-host-keys = false",
                "New SSH host keys.",
            ),
            key(
                "random-seed",
                "`true` or `false`",
                "renewed where it can be",
                "random-seed = false",
                "A new random seed.",
            ),
            key(
                "regenerate",
                "list of `disk-guid` and `fs-uuid`",
                "=[]",
                "regenerate = [\"disk-guid\"]",
                "Ids that are made anew: those of the partition table, those of file systems and swap.",
            ),
        ],
    },
    Table {
        name: "windows",
        head: "[windows]",
        title: "`[windows]`",
        says: "What makes a Windows differ from the next clone.",
        keys: &[
            key(
                "unattend",
                "path of a template beside `ezio.conf`",
                "no answer file",
                "unattend = \"unattend.xml\"",
                "The answer file, filled in for each machine.",
            ),
            key(
                "join",
                "template of a path beside `ezio.conf`",
                "no domain join",
                "join = \"join/{{hostname}}.txt\"",
                "The machine's file of `djoin /provision`.",
            )
            .beside("unattend = \"unattend.xml\""),
            key(
                "drivers",
                "path of a folder beside `ezio.conf`",
                "no drivers",
                "drivers = \"drivers\"",
                "A folder of drivers for each model, and `common` for all.",
            )
            .beside("unattend = \"unattend.xml\""),
        ],
    },
    Table {
        name: "group",
        head: "[[group]]",
        title: "`[[group]]`",
        says: "A set of machines with a name. Whom one of the lists names belongs to it; so does whoever was started with `ezio.group=NAME`.",
        keys: &[
            key("name", "letters, digits, `.`, `_` and `-`", "needed", "name = \"room-2\"", "The name."),
            key(
                "macs",
                "list of MAC addresses, or their beginnings and a star",
                "=[]",
                "macs = [\"52:54:00:*\"]",
                "Addresses of network cards.",
            )
            .beside("name = \"room-2\""),
            key(
                "uuids",
                "list of UUIDs",
                "=[]",
                "uuids = [\"11111111-2222-4333-8444-555555555555\"]",
                "What SMBIOS calls the machine's UUID.",
            )
            .beside("name = \"room-2\""),
            key("serials", "list of patterns", "=[]", "serials = [\"PF3*\"]", "Serial numbers.")
                .beside("name = \"room-2\""),
            key("products", "list of patterns", "=[]", "products = [\"OptiPlex*\"]", "Product names.")
                .beside("name = \"room-2\""),
        ],
    },
    Table {
        name: "machine",
        head: "[[machine]]",
        title: "`[[machine]]`",
        says: "What is different for some machines: `match`, and any key or table of the above.",
        keys: &[
            key("match", "conditions, below", "needed", "match.serial = \"PF3*\"", "For whom this is."),
            key(
                "by",
                "text",
                "the file",
                "by = \"the order of anna, 2026-12-01 03:00\"",
                "Who says so, for the machine's screen. The server writes it where an order lies over the file.",
            )
            .beside("match.serial = \"PF3*\""),
        ],
    },
    Table {
        name: "match",
        head: "[[machine]]",
        title: "`match` of a `[[machine]]`",
        says: "All conditions that are given must hold; of a list, one must.",
        keys: &[
            key(
                "mac",
                "MAC addresses, or their beginnings and a star",
                "any",
                "match.mac = \"52:54:00:12:34:56\"",
                "Any network card of the machine.",
            ),
            key(
                "uuid",
                "UUIDs",
                "any",
                "match.uuid = \"11111111-2222-4333-8444-555555555555\"",
                "The machine's UUID by SMBIOS.",
            ),
            key("serial", "patterns", "any", "match.serial = [\"PF3*\", \"PF4*\"]", "Its serial number."),
            key("product", "patterns", "any", "match.product = \"OptiPlex*\"", "Its product name."),
            key("group", "names of groups", "any", "match.group = \"room-2\"", "A group that it belongs to."),
        ],
    },
];
