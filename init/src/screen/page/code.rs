//! An address as a QR code, for the telephone of whoever stands before the machine.

use qrcodegen::{QrCode, QrCodeEcc};

use super::grid::{Grid, Ink, Size, rows};

/// Squares around a code that have to stay white (ISO/IEC 18004).
const QUIET: usize = 4;

/// A code that fits somewhere.
pub(super) struct Code {
    squares: Vec<(usize, usize)>,
    /// Squares of a side, with those around it.
    side: usize,
    scale: usize,
}

impl Code {
    /// As large as there is room for; none where there is no room.
    pub(super) fn fitting(address: &str, room: Size) -> Option<Self> {
        // The lowest level of correction: a display has no scratches, and fewer squares are larger ones.
        let code = QrCode::encode_text(address, QrCodeEcc::Low).ok()?;
        let side = usize::try_from(code.size()).ok()?;
        let dark = |x: usize, y: usize| code.get_module(x as i32, y as i32);
        let all = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        let squares = all.filter(|(x, y)| dark(*x, *y)).map(|(x, y)| (x + QUIET, y + QUIET)).collect();
        let side = side + 2 * QUIET;
        let scale = (room.width / side).min(room.height * 2 / side);
        (scale > 0).then_some(Self { squares, side, scale })
    }

    /// Cells that it takes.
    pub(super) fn size(&self) -> Size {
        Size { width: self.side * self.scale, height: rows(self.side, self.scale) }
    }

    pub(super) fn draw(&self, grid: &mut Grid, x: usize, y: usize) {
        let Size { width, height } = self.size();
        for row in y..y + height {
            grid.text(x, row, &" ".repeat(width), Ink::Code);
        }
        grid.squares(x, y, self.scale, &self.squares, Ink::Code);
    }
}
