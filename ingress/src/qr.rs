//! QR codes, as vectors and as pixels.
use qrcode::render::svg::Color;
use qrcode::{EcLevel, QrCode};

/// Pixels of one module, and the quiet zone around a code in modules (ISO/IEC 18004).
const MODULE_PIXELS: usize = 6;
const QUIET_MODULES: usize = 4;

/// `None` when the text does not fit.
pub(crate) fn svg(text: &str) -> Option<String> {
    let code = code(text)?;
    Some(code.render::<Color<'_>>().min_dimensions(320, 320).build())
}

/// One bit a pixel, white is 1.
pub(crate) fn png(text: &str) -> Option<Vec<u8>> {
    let code = code(text)?;
    let modules = code.width();
    let dark = code.to_colors();
    let side = (modules + 2 * QUIET_MODULES) * MODULE_PIXELS;
    let row_bytes = side.div_ceil(8);
    let mut pixels = vec![0xff; row_bytes * side];
    for y in 0..side {
        for x in 0..side {
            let module = |at: usize| (at / MODULE_PIXELS).checked_sub(QUIET_MODULES);
            let (Some(column), Some(row)) = (module(x), module(y)) else { continue };
            let inside = column < modules && row < modules;
            if inside && dark[row * modules + column] == qrcode::Color::Dark {
                pixels[y * row_bytes + x / 8] &= !(0x80 >> (x % 8));
            }
        }
    }
    let mut out = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(out)
}

fn code(text: &str) -> Option<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::M).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_show_the_same_code() {
        let text = "eyJ.signed.text";
        let modules = code(text).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(png(text).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let row_bytes = info.line_size;
        for (at, color) in modules.to_colors().into_iter().enumerate() {
            let (row, column) = (at / modules.width(), at % modules.width());
            let middle = |module| (module + QUIET_MODULES) * MODULE_PIXELS + MODULE_PIXELS / 2;
            let (x, y) = (middle(column), middle(row));
            let is_dark = pixels[y * row_bytes + x / 8] & (0x80 >> (x % 8)) == 0;
            assert_eq!(is_dark, color == qrcode::Color::Dark, "module {column},{row}");
        }
        assert!(svg(text).unwrap().starts_with("<?xml"));
        assert!(svg(&"x".repeat(5_000)).is_none());
    }
}
