//! The form in which `ezio.conf` was first documented: `TORRENT=…` and `TARGET=…`, read as a shell
//! would, with `#` comments.

use super::error::ConfError;
use super::orders::ImageRef;
use super::settings::{Settings, TargetSetting};

/// Is this text in the two-key form? It is, once a line that is no comment assigns one of the keys.
pub(super) fn is_two_key(text: &str) -> bool {
    text.lines().map(str::trim_start).any(|line| {
        ["TORRENT", "TARGET"]
            .iter()
            .any(|key| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))
    })
}

/// Reads it.
pub(super) fn parse(text: &str) -> Result<Settings, ConfError> {
    let mut settings = Settings::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let at = |within: usize, message: String| ConfError::at(text, offset + within, message);
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            let (key, value) = content.split_once('=').ok_or_else(|| {
                at(indent, format!("{content:?} is not KEY=value: write TORRENT=… and TARGET=…"))
            })?;
            let value_at = indent + key.len() + 1;
            let value = unquote(value).map_err(|m| at(value_at, format!("{}: {m}", key.trim())))?;
            let twice = || at(indent, format!("{} is set twice", key.trim()));
            match key.trim() {
                "TORRENT" if settings.image.is_some() => return Err(twice()),
                "TARGET" if settings.target.is_some() => return Err(twice()),
                "TORRENT" => {
                    settings.image =
                        Some(torrent(&value).map_err(|m| at(value_at, format!("TORRENT: {m}")))?);
                }
                "TARGET" => {
                    let target: Result<TargetSetting, String> = value.parse();
                    settings.target = Some(target.map_err(|m| at(value_at, format!("TARGET: {m}")))?);
                }
                other => {
                    return Err(at(
                        indent,
                        format!(
                            "unknown key {other:?}: this form has TORRENT and TARGET; everything else is TOML"
                        ),
                    ));
                }
            }
        }
        offset += line.len();
    }
    for (key, missing) in [("TORRENT", settings.image.is_none()), ("TARGET", settings.target.is_none())] {
        if missing {
            return Err(ConfError::at(
                text,
                text.len(),
                format!("{key} is missing: the form is TORRENT=… and TARGET=…"),
            ));
        }
    }
    Ok(settings)
}

fn torrent(value: &str) -> Result<ImageRef, String> {
    match value.parse()? {
        // In this form it was always a torrent, never a name.
        ImageRef::Name(name) => Err(format!("{name:?} is not the path or URL of a .torrent file")),
        other => Ok(other),
    }
}

/// The value as a shell would see it: quotes removed, a comment after a blank dropped.
fn unquote(value: &str) -> Result<String, String> {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let (inner, after) =
                rest.split_once(quote).ok_or_else(|| format!("the closing {quote} is missing"))?;
            let after = after.trim_start();
            return if after.is_empty() || after.starts_with('#') {
                Ok(inner.to_owned())
            } else {
                Err(format!("{after:?} after the closing {quote}"))
            };
        }
    }
    let end = value.find([' ', '\t']).unwrap_or(value.len());
    let (word, rest) = value.split_at(end);
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(word.to_owned())
    } else {
        Err(format!("{rest:?} after a blank: put quotes around a value with blanks"))
    }
}
