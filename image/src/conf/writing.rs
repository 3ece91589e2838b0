//! `[write]`: how targets are written.

use serde::{Deserialize, Serialize};

/// How targets are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Writing {
    /// What becomes of what they hold already.
    pub reuse: Reuse,
    /// When a target counts as written; none: it is proved as far as that costs no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What is known of a target when a run ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// It gave back all that was written, read from the medium once more.
    ReadBack,
    /// It took all, and said that it is on the medium.
    Written,
}

/// Whether what of an image is on a target already stays there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// If some dozen pieces, tried first, say that it is worth while to look for it.
    #[default]
    Auto,
    /// It is fetched and written anew.
    Never,
    /// It is looked for in any case.
    Always,
}
