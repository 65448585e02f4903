//! A screen as a picture.

use std::fmt::Write as _;

use tests::rig::screen::{Cell, Colour, Look, Screen};

/// Of a character, in pixels.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 17.0;

/// Round the screen.
const MARGIN: f32 = 14.0;

/// Of the bar above it.
const BAR: f32 = 30.0;

const BACKGROUND: &str = "#14171c";
const FOREGROUND: &str = "#d5dae2";

/// The sixteen colours of a terminal.
const PALETTE: [&str; 16] = [
    "#2a2f38", "#ef5b62", "#7fca76", "#e3bf63", "#5a9df0", "#c586dd", "#4fc1c9", "#b9c0cb",
    "#6b7484", "#ff7b80", "#9be392", "#f5d67f", "#7fb5ff", "#dda2f2", "#74dde4", "#ffffff",
];

/// The whole screen with a frame.
#[expect(clippy::cast_precision_loss, reason = "columns and rows of a screen")]
pub(crate) fn picture(screen: &Screen) -> String {
    let width = screen.columns() as f32 * WIDTH + 2.0 * MARGIN;
    let height = screen.rows().count() as f32 * HEIGHT + 2.0 * MARGIN + BAR;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         width=\"{width:.1}\" height=\"{height:.1}\" font-size=\"14\" \
         font-family=\"'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace\">\n\
         <title>sipguard top</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"9\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (i, colour) in [PALETTE[1], PALETTE[3], PALETTE[2]].into_iter().enumerate() {
        let x = MARGIN + 6.0 + i as f32 * 20.0;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "<circle cx=\"{x}\" cy=\"19\" r=\"6\" fill=\"{colour}\"/>");
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"24\" fill=\"{}\" text-anchor=\"middle\">sipguard top</text>",
        width / 2.0,
        PALETTE[8]
    );
    for (row, cells) in screen.rows().enumerate() {
        let y = row as f32 * HEIGHT + MARGIN + BAR;
        for (column, run) in runs(cells) {
            let x = column as f32 * WIDTH + MARGIN;
            paint(&mut out, (x, y), run);
        }
    }
    out + "</svg>\n"
}

/// Neighbours that look the same, with the column of the first.
fn runs(cells: &[Cell]) -> Vec<(usize, &[Cell])> {
    let mut column = 0;
    let mut runs = Vec::new();
    for run in cells.chunk_by(|one, next| one.look == next.look) {
        runs.push((column, run));
        column += run.len();
    }
    runs
}

#[expect(clippy::cast_precision_loss, reason = "columns of a screen")]
fn paint(out: &mut String, (x, y): (f32, f32), run: &[Cell]) {
    let Some(Cell { look, .. }) = run.first() else { return };
    let width = run.len() as f32 * WIDTH;
    let (foreground, background) = colours(*look);
    if let Some(background) = background {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT:.1}\" \
             fill=\"{background}\"/>"
        );
    }
    let opacity = if look.is_dim { " opacity=\"0.55\"" } else { "" };
    let weight = if look.is_bold { " font-weight=\"bold\"" } else { "" };
    // Bars are painted: fonts leave gaps between them.
    for (i, cell) in run.iter().enumerate() {
        let eighths = u32::from(cell.character).wrapping_sub(0x2580);
        if (1..=8).contains(&eighths) {
            let height = HEIGHT * eighths as f32 / 8.0;
            let (x, y) = (x + i as f32 * WIDTH, y + HEIGHT - height);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                 fill=\"{foreground}\"{opacity}/>",
                WIDTH - 0.6
            );
        }
    }
    let text: String = run.iter().map(|cell| letter(cell.character)).collect();
    let lead = text.len() - text.trim_start().len();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let x = x + lead as f32 * WIDTH;
    let length = text.chars().count() as f32 * WIDTH;
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{foreground}\" textLength=\"{length:.1}\" \
         xml:space=\"preserve\"{weight}{opacity}>{}</text>",
        y + 13.0,
        escaped(text)
    );
}

/// Bars are no letters.
fn letter(character: char) -> char {
    if ('\u{2581}'..='\u{2588}').contains(&character) { ' ' } else { character }
}

fn colours(look: Look) -> (String, Option<String>) {
    let foreground = colour(look.foreground).unwrap_or_else(|| FOREGROUND.to_owned());
    let background = colour(look.background);
    match look.is_reversed {
        true => (background.unwrap_or_else(|| BACKGROUND.to_owned()), Some(foreground)),
        false => (foreground, background),
    }
}

fn colour(colour: Colour) -> Option<String> {
    match colour {
        Colour::Default => None,
        Colour::Palette(number) => {
            PALETTE.get(usize::from(number)).map(|colour| (*colour).to_owned())
        }
        Colour::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
