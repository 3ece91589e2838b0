//! Where a file lies: on an HTTP or TFTP server, or in a local folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;
use url::Url;

/// Where a file lies, or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `http://HOST/…`
    Http(Url),
    /// `tftp://HOST/…`
    Tftp(Url),
    /// A local path.
    Local(PathBuf),
}

/// Why a location is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum LocationError {
    #[error("{0}: https is not supported here; use http, on a network of your own")]
    Https(String),
    #[error("{0}: neither http:// nor tftp://")]
    Scheme(String),
    #[error("{text}: {reason}")]
    Url { text: String, reason: String },
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::Local(text.into())) };
        let bad = |reason: String| LocationError::Url { text: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("no server is named".into()));
        }
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(Self::Http(url)),
            "tftp" => Ok(Self::Tftp(url)),
            "https" => Err(LocationError::Https(text.to_owned())),
            _ => Err(LocationError::Scheme(text.to_owned())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) | Self::Tftp(url) => write!(f, "{url}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Location {
    /// `path` (parted by `/`) on the same server, from its root; for a local file, beside it.
    pub(crate) fn on_same_server(&self, path: &str) -> Self {
        match self {
            Self::Http(url) => Self::Http(with_path(url, path)),
            Self::Tftp(url) => Self::Tftp(with_path(url, path)),
            Self::Local(file) => Self::Local(file.parent().unwrap_or(Path::new("")).join(path)),
        }
    }

    /// The file `name` in this folder.
    pub(crate) fn file(&self, name: &str) -> Self {
        let below = |url: &Url| with_path(url, &format!("{}/{name}", url.path().trim_end_matches('/')));
        match self {
            Self::Http(url) => Self::Http(below(url)),
            Self::Tftp(url) => Self::Tftp(below(url)),
            Self::Local(folder) => Self::Local(folder.join(name)),
        }
    }

    /// The file `name` in the folder of this file.
    pub(crate) fn beside(&self, name: &str) -> Self {
        let beside = |url: &Url| {
            let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            with_path(url, &format!("{folder}/{name}"))
        };
        match self {
            Self::Http(url) => Self::Http(beside(url)),
            Self::Tftp(url) => Self::Tftp(beside(url)),
            Self::Local(file) => Self::Local(file.with_file_name(name)),
        }
    }

    /// Is it a `.torrent` file by its name?
    pub(crate) fn is_torrent(&self) -> bool {
        match self {
            Self::Http(url) | Self::Tftp(url) => url.path().ends_with(".torrent"),
            Self::Local(path) => path.extension().is_some_and(|e| e == "torrent"),
        }
    }
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn names_files_on_the_same_server_and_in_folders() {
        let conf = at("http://10.0.0.1:8080/some/ezio.conf?x=1");
        assert_eq!(conf.on_same_server("images/a").to_string(), "http://10.0.0.1:8080/images/a");
        let image = at("tftp://10.0.0.1/images/a/");
        assert_eq!(image.file("manifest.toml").to_string(), "tftp://10.0.0.1/images/a/manifest.toml");
        assert_eq!(at("/srv/a").file("manifest.toml"), Location::Local("/srv/a/manifest.toml".into()));
        assert_eq!(at("http://h/images/a/sda1.torrent?x").beside("b").to_string(), "http://h/images/a/b");
        assert_eq!(at("/srv/a/sda1.torrent").beside("b"), Location::Local("/srv/a/b".into()));
        assert_eq!(at("conf/ezio.conf").on_same_server("b"), Location::Local("conf/b".into()));
        assert!(at("http://h/images/a/sda1.torrent").is_torrent() && at("/a/x.torrent").is_torrent());
        assert!(!at("http://h/images/a").is_torrent());
    }

    #[test]
    fn refuses_what_cannot_be_fetched() {
        assert_eq!("https://h/x".parse::<Location>(), Err(LocationError::Https("https://h/x".into())));
        assert_eq!("ftp://h/x".parse::<Location>(), Err(LocationError::Scheme("ftp://h/x".into())));
        assert!(matches!("tftp:///x".parse::<Location>(), Err(LocationError::Url { .. })));
        assert!(matches!("http://".parse::<Location>(), Err(LocationError::Url { .. })));
    }
}
