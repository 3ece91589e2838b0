//! One value, or a list of them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::orders::{SeedPolicy, check_ratio};
use super::settings::DiskSetting;
use super::units::{parse_duration, parse_size};

/// Reads `key = "a"` like `key = ["a"]`; an empty list is refused, since it would match nothing.
pub(super) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(text.into_deserializer())?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
            let list = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
            if list.is_empty() {
                return Err(A::Error::custom(
                    "an empty list would match nothing: leave the key out to match everything",
                ));
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(OneOrMany(PhantomData))
}

/// `[disk]`, or several `[[disk]]`, each of which may name an image.
pub(super) fn disks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<DiskSetting>>, D::Error> {
    struct Disks;

    impl<'de> Visitor<'de> for Disks {
        type Value = Vec<DiskSetting>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table [disk], or several [[disk]]")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<DiskSetting>, A::Error> {
            let disk = DiskSetting::deserialize(MapAccessDeserializer::new(map))?;
            match disk.image {
                Some(_) => {
                    Err(A::Error::custom("image stands beside [disk], or in [[disk]] with two brackets"))
                }
                None => Ok(vec![disk]),
            }
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<DiskSetting>, A::Error> {
            let list = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
            match list.is_empty() {
                true => Err(A::Error::custom("an empty list: nothing would be written")),
                false => Ok(list),
            }
        }
    }

    deserializer.deserialize_any(Disks).map(Some)
}

/// A size: a number of bytes, or text with a unit.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Size;

    impl Visitor<'_> for Size {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"100G\" or \"8GiB\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            parse_size(text).map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::custom("a size is not negative"))
        }
    }

    deserializer.deserialize_any(Size).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SeedTable {
    ratio: Option<f64>,
    idle: Option<String>,
    time: Option<String>,
    #[serde(default)]
    until_released: bool,
}

/// A seeding policy: a table of bounds, or the short form in a string.
pub(super) fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SeedPolicy>, D::Error> {
    struct Seed;

    impl<'de> Visitor<'de> for Seed {
        type Value = SeedPolicy;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table with ratio, idle, time or until-released, or \"none\" or \"forever\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SeedPolicy, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SeedPolicy, A::Error> {
            let table = SeedTable::deserialize(MapAccessDeserializer::new(map))?;
            let duration =
                |text: Option<String>| text.map(|t| parse_duration(&t)).transpose().map_err(A::Error::custom);
            let policy = SeedPolicy {
                ratio: table.ratio.map(check_ratio).transpose().map_err(A::Error::custom)?,
                idle: duration(table.idle)?,
                time: duration(table.time)?,
                until_released: table.until_released,
            };
            if policy.is_forever() {
                return Err(A::Error::custom("no bound in it: write seed = \"forever\" if that is meant"));
            }
            Ok(policy)
        }
    }

    deserializer.deserialize_any(Seed).map(Some)
}
