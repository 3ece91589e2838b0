//! What a machine that boots from the network is told to do next: scripts for iPXE and GRUB.

use std::net::IpAddr;

use ezio_contract::netboot::{INITRD, KERNEL, SERVER_CARDS};
use ezio_contract::urls::{BOOT, CONF, IPXE};
use ezio_contract::{Arch, Mac, parameters, urls};

/// Where a machine is to boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Into init, to be deployed.
    Deploy,
    /// Likewise, with the drivers of all network cards, whatever it says that it is: it did not come into init before.
    DeployWithAllCards,
    /// From its own disk: it is done.
    Local,
}

/// What the scripts need to know of the server.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// `http://ADDRESS:PORT`, as this client reaches it.
    pub(crate) base: String,
    /// More kernel arguments.
    pub(crate) append: String,
    /// Architectures for which there is a second initrd, of the cards of servers.
    pub(crate) server_cards: Vec<Arch>,
}

/// Chassis of PCs by SMBIOS's numbers (type 3, byte 5): desktops, low towers, portables, tablets, sticks. A tower, a rack, a
/// blade, a virtual machine, and a board that says nothing ("other", "unknown") may be a server.
const PCS: [u8; 17] = [3, 4, 6, 8, 9, 10, 11, 13, 14, 15, 16, 24, 30, 31, 32, 35, 36];

/// First script: has iPXE come back with what it knows about the machine.
pub(crate) fn ipxe_identify(base: &str) -> String {
    format!(
        "#!ipxe\n\
         chain --replace {base}/{IPXE}?mac=${{netX/mac:hexhyp}}\
         &uuid=${{uuid}}&serial=${{serial:uristring}}&product=${{product:uristring}}\n"
    )
}

/// Script for one machine.
pub(crate) fn ipxe_script(site: &Site, boot: Boot) -> String {
    let base = &site.base;
    match boot {
        // `exit` returns to the firmware, which goes on to its next boot device.
        Boot::Local => "#!ipxe\necho ezio: this machine starts from its own disk\nexit\n".to_owned(),
        Boot::Deploy | Boot::DeployWithAllCards => format!(
            "#!ipxe\n\
             set tries:int32 0\n\
             set arch amd64\n\
             iseq ${{buildarch}} arm64 && set arch arm64 ||\n\
             {}\
             :again\n\
             echo ezio: loading from {base}\n\
             kernel {base}/{BOOT}/${{arch}}/{KERNEL} initrd={INITRD} ${{second}} {} || goto failed\n\
             initrd --name {INITRD} {base}/{BOOT}/${{arch}}/{INITRD} || goto failed\n\
             isset ${{second}} || goto loaded\n\
             initrd --name {SERVER_CARDS} {base}/{BOOT}/${{arch}}/{SERVER_CARDS} || goto failed\n\
             :loaded\n\
             boot || goto failed\n\
             :failed\n\
             imgfree\n\
             inc tries\n\
             iseq ${{tries}} 5 && goto give_up ||\n\
             echo ezio: {base} did not deliver, trying again in 10 seconds\n\
             sleep 10\n\
             goto again\n\
             :give_up\n\
             echo ezio: {base} did not deliver, going on to the next boot device\n\
             exit 1\n",
            ipxe_second_initrd(site, boot),
            arguments(site, "01-${netX/mac:hexhyp}")
        ),
    }
}

/// Sets `second` to the argument that names the second initrd to the kernel, where there is one and the machine may be a
/// server.
fn ipxe_second_initrd(site: &Site, boot: Boot) -> String {
    let mut script = "clear second ||\n".to_owned();
    for arch in &site.server_cards {
        script.push_str(&format!("iseq ${{arch}} {arch} && set second initrd={SERVER_CARDS} ||\n"));
    }
    for chassis in pcs(boot) {
        script.push_str(&format!("iseq ${{smbios/3.5.1:hex}} {chassis:02x} && clear second ||\n"));
    }
    script
}

/// Chassis that do without the cards of servers.
fn pcs(boot: Boot) -> impl Iterator<Item = u8> {
    PCS.into_iter().filter(move |_| boot == Boot::Deploy)
}

/// First file that network GRUB reads: has it ask for the machine's own, by the MAC that it booted from.
pub(crate) fn grub_config() -> String {
    let [usual, other] = [Arch::Amd64, Arch::Arm64];
    format!(
        "# GRUB has no word for the machine's UUID; the card that booted has to do.\n\
         set timeout=0\n\
         set arch={usual}\n\
         set efi={}\n\
         if [ \"$grub_cpu\" = arm64 ]; then\n\
         \x20 set arch={other}\n\
         \x20 set efi={}\n\
         fi\n\
         source /{}\n",
        usual.efi(),
        other.efi(),
        urls::grub_machine("$net_default_mac")
    )
}

/// GRUB's file for one machine, with `arch` and `efi` set by the first.
pub(crate) fn grub_script(site: &Site, mac: Mac, boot: Boot) -> String {
    match boot {
        Boot::Local => GRUB_LOCAL.to_owned(),
        Boot::Deploy | Boot::DeployWithAllCards => grub_deploy(site, mac, boot),
    }
}

/// The disk's loader is started from GRUB: EDK2 shows its boot menu when a boot program returns, whatever it returns, and
/// without any answer it goes on to IPv6 and HTTP for minutes. It must be `root` that is set: GRUB 2.06 takes the
/// device that it tells the loader of from there.
const GRUB_LOCAL: &str = "\
    echo 'ezio: this machine starts from its own disk'\n\
    for loader in /EFI/BOOT/BOOT$efi.EFI /EFI/debian/shim$efi.efi /EFI/ubuntu/shim$efi.efi \
    /EFI/Microsoft/Boot/bootmgfw.efi; do\n\
    \x20 if search --no-floppy --set=root --file $loader; then\n\
    \x20   chainloader $loader\n\
    \x20   boot\n\
    \x20 fi\n\
    done\n\
    echo 'ezio: no loader was found on its disks; for a new deployment: ezio-pxe again MACHINE'\n\
    exit\n";

/// Kernel and initrd come over HTTP; where that fails, from where GRUB itself came from (GRUB 2.06 knows TFTP alone).
fn grub_deploy(site: &Site, mac: Mac, boot: Boot) -> String {
    let host = site.base.trim_start_matches("http://");
    let arguments = arguments(site, &mac.bootif());
    let is_server = grub_is_server(site, boot);
    format!(
        "{is_server}\
         for from in (http,{host}) ($root); do\n\
         \x20 folder=$from/{BOOT}/$arch\n\
         \x20 second=\n\
         \x20 if [ \"$server\" = yes ]; then\n\
         \x20   second=$folder/{SERVER_CARDS}\n\
         \x20 fi\n\
         \x20 echo \"ezio: loading the kernel from $from\"\n\
         \x20 if linux $folder/{KERNEL} {arguments}; then\n\
         \x20   echo \"ezio: loading the initrd $second\"\n\
         \x20   if initrd $folder/{INITRD} $second; then\n\
         \x20     boot\n\
         \x20   fi\n\
         \x20 fi\n\
         done\n\
         echo 'ezio: the kernel could not be started, restarting in 30 seconds'\n\
         sleep 30\n\
         reboot\n"
    )
}

/// Sets `server` to yes where there is a second initrd and the machine may be a server: its chassis is none of a PC, or
/// GRUB cannot tell.
fn grub_is_server(site: &Site, boot: Boot) -> String {
    let mut script = "server=no\n".to_owned();
    for arch in &site.server_cards {
        script.push_str(&format!("if [ \"$arch\" = {arch} ]; then server=yes; fi\n"));
    }
    let chassis: Vec<String> = pcs(boot).map(|chassis| chassis.to_string()).collect();
    if !chassis.is_empty() {
        script.push_str(&format!(
            "if smbios --type 3 --get-byte 5 --set chassis; then\n\
             \x20 for pc in {}; do\n\
             \x20   if [ \"$chassis\" = $pc ]; then server=no; fi\n\
             \x20 done\n\
             fi\n",
            chassis.join(" ")
        ));
    }
    script
}

/// What the kernel is told, and init reads.
fn arguments(site: &Site, bootif: &str) -> String {
    let Site { base, append, .. } = site;
    format!("{}={base}/{CONF} {}={bootif} {append}", parameters::CONF, parameters::BOOTIF)
}

/// `http://ADDRESS:PORT`.
pub(crate) fn base_url(address: IpAddr, port: u16) -> String {
    format!("http://{}", std::net::SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn mac() -> Mac {
        Mac::new([0x52, 0x54, 0, 0x12, 0x34, 0x56])
    }

    fn site() -> Site {
        Site {
            base: "http://10.0.0.1:8080".into(),
            append: "console=ttyS0".into(),
            server_cards: vec![Arch::Amd64],
        }
    }

    #[test]
    fn a_machine_to_deploy_gets_kernel_initrd_and_conf() {
        let script = ipxe_script(&site(), Boot::Deploy);
        assert!(script.starts_with("#!ipxe\n"));
        assert!(script.contains(
            "kernel http://10.0.0.1:8080/boot/${arch}/vmlinuz initrd=initrd.img ${second} ezio.conf=http://10.0.0.1:8080/ezio.conf \
             BOOTIF=01-${netX/mac:hexhyp} console=ttyS0 ||"
        ));
        let script = grub_script(&site(), mac(), Boot::Deploy);
        assert!(script.contains(
            "linux $folder/vmlinuz ezio.conf=http://10.0.0.1:8080/ezio.conf \
             BOOTIF=01-52-54-00-12-34-56 console=ttyS0;"
        ));
    }

    #[test]
    fn a_machine_that_is_done_never_loads_a_kernel() {
        let ipxe = ipxe_script(&site(), Boot::Local);
        assert!(ipxe.ends_with("\nexit\n") && !ipxe.contains("kernel"));
        assert!(!grub_script(&site(), mac(), Boot::Local).contains("linux"));
    }

    /// Which chassis do without the second initrd is seen in virtual machines; here, that nothing else does.
    #[test]
    fn only_a_chassis_may_spare_a_machine_the_cards_of_servers() {
        let scripts = |site: &Site, boot| [ipxe_script(site, boot), grub_script(site, mac(), boot)];
        for script in scripts(&site(), Boot::Deploy) {
            assert!(script.contains("server-cards.img") && script.contains("smbios"), "{script}");
        }
        for script in scripts(&site(), Boot::DeployWithAllCards) {
            assert!(script.contains("server-cards.img") && !script.contains("smbios"), "{script}");
        }
        let without = Site { server_cards: Vec::new(), ..site() };
        let [ipxe, grub] = scripts(&without, Boot::Deploy);
        assert!(!ipxe.contains("set second") && !grub.contains("server=yes"), "{ipxe}\n{grub}");
    }

    #[test]
    fn grub_can_read_its_files() {
        for script in [
            grub_config(),
            grub_script(&site(), mac(), Boot::Local),
            grub_script(&site(), mac(), Boot::Deploy),
            grub_script(&site(), mac(), Boot::DeployWithAllCards),
        ] {
            let mut check = Command::new("grub-script-check").stdin(Stdio::piped()).spawn().unwrap();
            check.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(check.wait().unwrap().success(), "{script}");
        }
    }
}
