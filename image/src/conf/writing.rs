//! `[write]`: how targets are written.

use serde::{Deserialize, Serialize};

/// How targets are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Writing {
    /// What becomes of what they hold already.
    pub reuse: Reuse,
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
