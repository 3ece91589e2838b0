//! What a person sees of a machine: its display as a picture.

use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// The pixels of a display.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Red, green and blue of each.
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a portable pixmap (PPM, binary, of 8 bits), as QEMU makes it.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let mut fields = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut number = |name: &str| -> Result<usize> {
            let field = fields.next().with_context(|| format!("{}: no {name}", file.display()))?;
            let text = std::str::from_utf8(field).context("a number")?;
            text.trim_start_matches('P')
                .parse()
                .with_context(|| format!("{}: {name} {text:?}", file.display()))
        };
        let (kind, width, height) = (number("kind")?, number("width")?, number("height")?);
        let rest = fields.next().unwrap_or_default();
        let Some(body) = rest.strip_prefix(b"255\n") else { bail!("{}: not of 8 bits", file.display()) };
        ensure!(kind == 6 && body.len() == width * height * 3, "{}: no whole picture", file.display());
        let pixels = body.as_chunks::<3>().0.to_vec();
        Ok(Self { width, height, pixels })
    }

    /// The colour that most of it has, and how much of it, from 0 to 1.
    #[must_use]
    pub fn main_colour(&self) -> ([u8; 3], f64) {
        let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
        for pixel in &self.pixels {
            *counts.entry(*pixel).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count).unwrap_or_default();
        (most.0, most.1 as f64 / self.pixels.len().max(1) as f64)
    }
}

/// The text of the QR code in a picture, as zbar reads it; none where it sees none.
pub fn code_in(picture: &Path) -> Result<Option<String>> {
    let output = Command::new("zbarimg").args(["--quiet", "--raw", "--nodbus"]).arg(picture).output();
    let output = output.context("starting zbarimg (package zbar-tools)")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Some(text).filter(|text| !text.is_empty()))
}
