//! What must hold for every table, wherever it came from.

use super::{Entry, LayoutError, Partition, Table, gpt, mbr};

pub(super) fn check(table: &Table, sector_size: u32, partitions: &[Partition]) -> Result<(), LayoutError> {
    if !matches!(sector_size, 512 | 4096) {
        return Err(LayoutError::Table(format!(
            "counts in sectors of {sector_size} bytes: only 512 and 4096 are in use"
        )));
    }
    for pair in partitions.windows(2) {
        if pair[0].number == pair[1].number {
            return Err(refuse(&pair[0], "is there twice"));
        }
    }
    for p in partitions {
        let bytes = p.start.checked_add(p.size).and_then(|end| end.checked_mul(u64::from(sector_size)));
        if p.size == 0 || bytes.is_none_or(|b| b > i64::MAX as u64) {
            return Err(refuse(p, format!("cannot begin at sector {} and have {} sectors", p.start, p.size)));
        }
    }
    match table {
        Table::Gpt { first_lba, last_lba, entries, .. } => {
            check_gpt(*first_lba, *last_lba, *entries, sector_size, partitions)
        }
        Table::Dos { .. } => check_dos(partitions),
    }
}

fn refuse(partition: &Partition, what: impl Into<String>) -> LayoutError {
    LayoutError::Partition { number: partition.number, what: what.into() }
}

/// No two of these claim the same sector.
fn no_overlap(partitions: &[&Partition]) -> Result<(), LayoutError> {
    let mut sorted = partitions.to_vec();
    sorted.sort_by_key(|p| p.start);
    for pair in sorted.windows(2) {
        if pair[0].end() > pair[1].start {
            let (first, second, sector) = (pair[0].number, pair[1].number, pair[1].start);
            return Err(LayoutError::Overlap { first: first.min(second), second: first.max(second), sector });
        }
    }
    Ok(())
}

fn check_gpt(
    first_lba: u64,
    last_lba: u64,
    entries: u32,
    sector_size: u32,
    partitions: &[Partition],
) -> Result<(), LayoutError> {
    if !(1..=gpt::MAX_ENTRIES).contains(&entries) {
        return Err(LayoutError::Table(format!(
            "has room for {entries} entries: 1 to {} are sane",
            gpt::MAX_ENTRIES
        )));
    }
    let lowest = 2 + gpt::entry_sectors(entries, sector_size);
    if first_lba < lowest || last_lba < first_lba || last_lba > i64::MAX as u64 / u64::from(sector_size) {
        return Err(LayoutError::Table(format!(
            "lets partitions use sectors {first_lba} to {last_lba}, which cannot be"
        )));
    }
    for p in partitions {
        match &p.entry {
            Entry::Gpt { name, type_guid, .. } => {
                if name.encode_utf16().count() > gpt::MAX_NAME || name.contains('\0') {
                    return Err(refuse(p, format!("the name {name:?} does not fit a GPT")));
                }
                if type_guid.is_nil() {
                    return Err(refuse(p, "has no type"));
                }
            }
            Entry::Dos { .. } => return Err(refuse(p, "is no GPT entry")),
        }
        if p.number == 0 || p.number > entries {
            return Err(refuse(p, format!("the table has room for {entries}")));
        }
        if p.start < lowest {
            return Err(refuse(p, format!("begins at sector {}, where the table itself lies", p.start)));
        }
    }
    no_overlap(&partitions.iter().collect::<Vec<_>>())
}

fn check_dos(partitions: &[Partition]) -> Result<(), LayoutError> {
    for p in partitions {
        if !matches!(p.entry, Entry::Dos { .. }) {
            return Err(refuse(p, "is no MBR entry"));
        }
        if p.number == 0 {
            return Err(refuse(p, "has no number"));
        }
        if p.start == 0 {
            return Err(refuse(p, "begins at sector 0, where the table itself lies"));
        }
        if u32::try_from(p.start).is_err() || u32::try_from(p.size).is_err() {
            return Err(refuse(p, "lies beyond what an MBR can say"));
        }
        if p.is_logical() && p.is_extended() {
            return Err(refuse(p, "is an extended partition inside an extended one"));
        }
    }
    let primary: Vec<_> = partitions.iter().filter(|p| !p.is_logical()).collect();
    no_overlap(&primary)?;
    let logical: Vec<_> = partitions.iter().filter(|p| p.is_logical()).collect();
    let mut extended = primary.iter().filter(|p| p.is_extended());
    let (container, another) = (extended.next(), extended.next());
    if let Some(another) = another {
        return Err(refuse(another, "is a second extended partition"));
    }
    for (index, p) in logical.iter().enumerate() {
        let Some(container) = container else {
            return Err(refuse(p, "is logical, but there is no extended partition"));
        };
        if p.start <= container.start || p.end() > container.end() {
            return Err(refuse(
                p,
                format!("does not lie inside the extended partition {}", container.number),
            ));
        }
        if p.number as usize != index + 5 {
            return Err(refuse(p, "logical partitions are numbered from 5 without gaps"));
        }
    }
    no_overlap(&logical)?;
    container.map_or(Ok(()), |c| mbr::places_of_ebrs(c, &logical).map(drop))
}
