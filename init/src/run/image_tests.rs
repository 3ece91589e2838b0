//! Images that are not what they should be.

use std::path::Path;

use super::*;
use crate::test_image::{DISK, MIB, TestImage, torrent};

async fn fetch(folder: &Path) -> anyhow::Result<Image> {
    let fetcher = Fetcher::new().unwrap();
    Image::fetch(&Location::Local(folder.to_owned()), &fetcher, None, &Screen::dark()).await
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
    assert!(refusal(&image).await.contains("does not match its manifest"));
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
    let partition = Image::Torrent(Arc::new(image.metainfo.clone()));
    let text = format!("{:#}", partition.needed_for_disk().unwrap_err());
    assert!(text.contains("single partition"), "{text}");
    let raw = Image::Torrent(Arc::new(torrent("disk", &image.bytes, None)));
    assert_eq!(raw.needed_for_disk().unwrap(), image.bytes.len() as u64);
}
