use super::*;

/// Page 0x89 with these words of IDENTIFY DEVICE.
fn page(words: &[(usize, u16)]) -> Vec<u8> {
    let mut page = vec![0; 60 + SECTOR];
    for (number, word) in words {
        page[60 + 2 * number..][..2].copy_from_slice(&word.to_le_bytes());
    }
    page
}

#[test]
fn smart_is_asked_for_where_the_disk_has_it_and_it_is_switched_on() {
    let identity = |words: &[(usize, u16)]| Identity::read(&page(words)).unwrap();
    let whole = [(82, 1), (83, 0x4000), (85, 1), (87, 0x4000)];
    assert_eq!(identity(&whole), Identity { smart: true, rotates: true });
    let [supported, valid, enabled, valid_too] = whole;
    assert_eq!(
        identity(&[supported, valid, enabled, valid_too, (217, 1)]),
        Identity { smart: true, rotates: false }
    );
    assert!(identity(&[supported, valid, enabled, valid_too, (217, 7200)]).rotates);
    for left_out in whole {
        let words: Vec<_> = whole.into_iter().filter(|word| *word != left_out).collect();
        assert!(!identity(&words).smart, "without word {}", left_out.0);
    }
    // Words of zeros or ones are those of disks that do not have them.
    assert!(!identity(&[supported, (83, 0xffff), enabled, valid_too]).smart);
    assert_eq!(Identity::read(&page(&whole)[..490]), None);
    assert_eq!(Identity::read(&[]), None);
}

#[test]
fn commands_are_those_of_the_standard() {
    // As smartctl sends them to a disk that it is told is behind a translation ("-d sat -r ioctl,2").
    assert_eq!(
        smart(Command::ReadData),
        [0x85, 0x08, 0x0e, 0, 0xd0, 0, 1, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0xb0, 0]
    );
    let status = smart(Command::ReturnStatus);
    assert_eq!(status, [0x85, 0x06, 0x20, 0, 0xda, 0, 0, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0xb0, 0]);
}

#[test]
fn registers_come_in_sense_data_of_both_forms() {
    let answer = |bytes: &[u8]| {
        let mut sense = [0; SENSE];
        sense[..bytes.len()].copy_from_slice(bytes);
        registers(&ScsiAnswer { status: 2, sense })
    };
    let descriptor = [0x72, 1, 0, 0x1d, 0, 0, 0, 14, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0, 0x2c, 0, 0x50];
    assert_eq!(answer(&descriptor), Some(SMART_FAILS));
    let fixed = [0xf0, 0, 1, 0, 0x50, 0, 0, 10, 0, 0, 0x4f, 0xc2, 0, 0x1d];
    assert_eq!(answer(&fixed), Some(SMART_KEY));
    // "Invalid command", of a bridge that knows none of this.
    assert_eq!(answer(&[0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0]), None);
    assert_eq!(answer(&[0x72, 5, 0x20, 0]), None);
    assert_eq!(answer(&[]), None);
}

/// A sector of attributes, each with its raw value.
fn attributes(raw: &[(u8, [u8; 6])]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[0] = 16;
    for (place, (number, raw)) in raw.iter().enumerate() {
        let at = 2 + 12 * place;
        (sector[at], sector[at + 3], sector[at + 4]) = (*number, 100, 100);
        sector[at + 5..at + 11].copy_from_slice(raw);
    }
    let sum = sector.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    sector[SECTOR - 1] = sum.wrapping_neg();
    sector
}

#[test]
fn raw_values_are_read_without_what_makers_keep_beside_them() {
    let sector = attributes(&[
        (5, [8, 1, 0, 0, 9, 0]),
        (9, [0x39, 0x30, 0, 0x77, 0, 0]),
        (194, [41, 0, 17, 0, 52, 0]),
        (197, [128, 0, 0, 0, 0, 0]),
        (198, [0; 6]),
    ]);
    let wanted = Attributes {
        reallocated: Some(264),
        hours: Some(12_345),
        temperature: Some(41),
        pending: Some(128),
        uncorrectable: Some(0),
    };
    assert_eq!(Attributes::read(&sector), Some(wanted));
    // Below zero, and by the number of others.
    let cold = Attributes::read(&attributes(&[(190, [0xfb, 0, 0, 0, 0, 0])])).unwrap();
    assert_eq!(cold, Attributes { temperature: Some(-5), ..Attributes::default() });
}

#[test]
fn a_sector_that_does_not_add_up_or_has_no_attributes_says_nothing() {
    let mut sector = attributes(&[(5, [0; 6])]);
    sector[100] ^= 1;
    assert_eq!(Attributes::read(&sector), None);
    assert_eq!(Attributes::read(&[0; SECTOR]), None);
}

#[test]
fn a_disk_fails_by_its_own_word_or_by_sectors_that_are_lost() {
    let with = |pending, uncorrectable| Attributes {
        reallocated: Some(900),
        pending: Some(pending),
        uncorrectable: Some(uncorrectable),
        ..Attributes::default()
    };
    let failing = |says_good, attributes, rotates| judge(says_good, &attributes, rotates).failing;
    // What was replaced in time is no reason.
    assert_eq!(failing(true, with(0, 0), true), [""; 0]);
    assert_eq!(failing(false, Attributes::default(), true), ["the disk says that it is failing (SMART)"]);
    assert_eq!(failing(true, with(128, 0), true), ["128 sectors wait for reallocation"]);
    assert_eq!(
        failing(false, with(1, 2), true),
        [
            "the disk says that it is failing (SMART)",
            "1 sector waits for reallocation",
            "2 sectors are beyond repair"
        ]
    );
    assert_eq!(failing(true, with(128, 7), false), [""; 0]);
    assert_eq!(judge(true, &with(128, 7), false).pending_sectors, None);
}
