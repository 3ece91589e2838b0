//! Images that are not what they should be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use super::*;
use crate::test_image::{DISK, MIB, TestImage, torrent};

async fn fetch(folder: &Path) -> anyhow::Result<Image> {
    let fetcher = Fetcher::new().unwrap();
    Fetched::fetch(&Location::Local(folder.to_owned()), &fetcher, None, &Screen::dark()).await?.one()
}

/// The refusal of an image, when it is fetched or when it is planned.
async fn refusal(image: &TestImage) -> String {
    match fetch(image.path()).await {
        Err(error) => format!("{error:#}"),
        Ok(image) => image.plan_for_disk(DISK, 512, &Grow::None).unwrap_err().to_string(),
    }
}

#[tokio::test]
async fn a_good_image_is_taken() {
    let image = TestImage::new();
    let fetched = fetch(image.path()).await.unwrap();
    assert_eq!(fetched.name(), "test");
    assert_eq!(
        fetched.plan_for_disk(DISK, 512, &Grow::None).unwrap().payload_bytes(),
        image.bytes.len() as u64
    );
    assert!(fetched.needed_for_disk().unwrap() > 13 * MIB);
    assert_eq!(fetched.needed_for_partition(None).unwrap(), 8 * MIB);
}

#[tokio::test]
async fn damaged_and_missing_files_are_named() {
    for file in ["manifest.toml", "layout.sfdisk", "boot-code.bin"] {
        let image = TestImage::new();
        let bytes = image.read(file);
        image.write(file, &bytes[..bytes.len() / 2]);
        let text = refusal(&image).await;
        assert!(text.contains(file) && text.contains("damaged"), "{file}: {text}");
        std::fs::remove_file(image.path().join(file)).unwrap();
        let text = refusal(&image).await;
        assert!(text.contains(file) && text.contains("No such file"), "{file}: {text}");
    }
    for file in ["sda1.torrent", "SHA256SUMS"] {
        let image = TestImage::new();
        std::fs::remove_file(image.path().join(file)).unwrap();
        assert!(refusal(&image).await.contains(file));
    }
}

#[tokio::test]
async fn a_torrent_of_other_content_is_refused() {
    let image = TestImage::new();
    let other = torrent("sda1", &image.bytes.iter().map(|b| !b).collect::<Vec<_>>(), Some(&image.runs));
    image.write("sda1.torrent", &other.to_torrent(&[]));
    assert!(refusal(&image).await.contains("info hash"));
    image.write("sda1.torrent", b"d8:announce");
    assert!(refusal(&image).await.contains("not a torrent file"));
}

#[tokio::test]
async fn a_manifest_that_contradicts_the_table_is_refused() {
    let image = TestImage::new();
    let manifest = image.manifest().replace(&format!("offset = {MIB}\n"), &format!("offset = {}\n", MIB / 2));
    image.write("manifest.toml", manifest.as_bytes());
    image.sum();
    assert!(refusal(&image).await.contains("layout.sfdisk: puts sda1 at byte 1048576"));
    image.write("manifest.toml", image.manifest().replace("format = 1", "format = 99").as_bytes());
    image.sum();
    assert!(refusal(&image).await.contains("format 99"));
}

#[tokio::test]
async fn an_image_for_another_architecture_is_refused() {
    let image = TestImage::new();
    image.write("manifest.toml", format!("arch = \"arm64\"\n{}", image.manifest()).as_bytes());
    image.sum();
    let fetched = fetch(image.path()).await.unwrap();
    assert!(fetched.check_architecture(Some(Arch::Arm64)).is_ok());
    let error = fetched.check_architecture(Some(Arch::Amd64)).unwrap_err().to_string();
    assert!(error.contains("\"test\" is for machines of arm64, and this is one of amd64"), "{error}");
}

#[tokio::test]
async fn a_torrent_alone_is_an_image_if_it_is_raw() {
    let image = TestImage::new();
    let partition = Image::Torrent(Torrent::new(Arc::new(image.metainfo.clone())).unwrap());
    let text = format!("{:#}", partition.needed_for_disk().unwrap_err());
    assert!(text.contains("single partition"), "{text}");
    let raw = Image::Torrent(Torrent::new(Arc::new(torrent("disk", &image.bytes, None))).unwrap());
    assert_eq!(raw.needed_for_disk().unwrap(), image.bytes.len() as u64);
}

/// Serves a folder; a torrent only once as many are asked for as may be at a time. Gives its address, and how many ever
/// were.
async fn serve(folder: std::path::PathBuf) -> (Location, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
    let together = Arc::new(Barrier::new(FILES_AT_A_TIME));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (folder, now, seen) = (folder.clone(), Arc::clone(&now), Arc::clone(&seen));
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let name = request.split_whitespace().nth(1).unwrap().trim_start_matches('/');
                if name.ends_with(".torrent") {
                    seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    together.wait().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                }
                let bytes = std::fs::read(folder.join(name)).unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    bytes.len()
                );
                stream.write_all(&[head.as_bytes(), &bytes].concat()).await.unwrap();
            });
        }
    });
    (location, most)
}

#[tokio::test]
async fn torrents_are_fetched_a_few_at_a_time() {
    const PARTITIONS: usize = 2 * FILES_AT_A_TIME;
    let image = TestImage::new();
    let mut table = "label: gpt\nlabel-id: 0B4DE1C5-2B9A-4E4F-8D1B-3E6B9D7E5A11\nfirst-lba: 34\n".to_owned();
    let mut partitions = String::new();
    for number in 1..=PARTITIONS {
        let torrent = torrent(&format!("sda{number}"), &image.bytes, Some(&image.runs));
        image.write(&format!("sda{number}.torrent"), &torrent.to_torrent(&[]));
        let (start, size) = (number as u64 * 8 * MIB, 8 * MIB);
        table.push_str(&format!(
            "{number} : start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
             uuid=5A7C1B5E-61A2-4B3D-9C55-0D3B1E9E7F{number:02}\n",
            start / 512,
            size / 512
        ));
        partitions.push_str(&format!(
            "[[partition]]\nname = \"sda{number}\"\nnumber = {number}\noffset = {start}\nsize = {size}\n\
             content = {{ kind = \"blocks\", info_hash = \"{}\", used = {} }}\n",
            torrent.info_hash().as_string(),
            image.bytes.len()
        ));
    }
    image.write("layout.sfdisk", table.as_bytes());
    let head = image.manifest().split("[disk]").next().unwrap().to_owned();
    let manifest = format!(
        "{head}[disk]\nsize = {size}\nsector_size = 512\nlabel = \"gpt\"\nminimum_size = {size}\n{partitions}",
        size = 128 * MIB
    );
    image.write("manifest.toml", manifest.as_bytes());
    image.sum();
    let (location, most) = serve(image.path().to_owned()).await;
    let fetcher = Fetcher::new().unwrap();
    let (screen, bound) = (Screen::dark(), Duration::from_secs(60));
    let fetched = tokio::time::timeout(bound, Fetched::fetch(&location, &fetcher, None, &screen)).await;
    let Image::Directory(fetched) = fetched.expect("one waits for another").unwrap().one().unwrap() else {
        unreachable!("an image directory was served");
    };
    assert_eq!(fetched.torrents.len(), PARTITIONS);
    assert_eq!(most.load(Ordering::SeqCst), FILES_AT_A_TIME);
}

#[tokio::test]
async fn the_images_of_a_set_are_those_that_its_list_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let list = "format = 1\nname = \"lab\"\nbuilder = \"a test\"\n[[disk]]\nname = \"sda\"\n[[disk]]\nname = \"sdb\"\n";
    let mut sums = Checksums::default();
    sums.add(SET_FILE, list.as_bytes());
    for disk in ["sda", "sdb"] {
        let image = TestImage::new();
        std::fs::create_dir(folder.path().join(disk)).unwrap();
        for file in ["manifest.toml", "layout.sfdisk", "boot-code.bin", "sda1.torrent", "SHA256SUMS"] {
            put(&format!("{disk}/{file}"), &image.read(file));
        }
        sums.add(&sums_of(disk), &image.read("SHA256SUMS"));
    }
    put(SET_FILE, list.as_bytes());
    put("SHA256SUMS", sums.to_string().as_bytes());
    let fetcher = Fetcher::new().unwrap();
    let place = Location::Local(folder.path().to_owned());
    let fetched = Fetched::fetch(&place, &fetcher, None, &Screen::dark()).await.unwrap();
    assert_eq!((fetched.name(), fetched.images().len()), ("lab", 2));
    assert_eq!(fetched.one().unwrap_err().to_string(), "lab is a set of disks: name one of lab/sda, lab/sdb");

    put("sdb/SHA256SUMS", b"");
    let error = format!("{:#}", fetch(folder.path()).await.unwrap_err());
    assert!(error.contains("sdb/SHA256SUMS: its 0 bytes have another SHA-256"), "{error}");
    put(SET_FILE, b"");
    let error = format!("{:#}", fetch(folder.path()).await.unwrap_err());
    assert!(error.contains("set.toml: its 0 bytes have another SHA-256"), "{error}");
}
