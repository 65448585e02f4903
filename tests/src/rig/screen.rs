//! What a terminal shows of what a program writes: the part of a terminal that
//! full-screen programs use.

use std::fmt;

/// A colour of the terminal's palette, or as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    #[default]
    Default,
    /// 0 to 7, and their bright brothers up to 15, then the cube.
    Palette(u8),
    Rgb(u8, u8, u8),
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub foreground: Colour,
    pub background: Colour,
    pub is_bold: bool,
    pub is_dim: bool,
    pub is_reversed: bool,
}

/// A character and its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub character: char,
    pub look: Look,
}

const BLANK: Cell = Cell {
    character: ' ',
    look: Look {
        foreground: Colour::Default,
        background: Colour::Default,
        is_bold: false,
        is_dim: false,
        is_reversed: false,
    },
};

/// A screen of some size.
#[derive(Clone, Debug)]
pub struct Screen {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
    column: usize,
    row: usize,
    look: Look,
    /// Whether the alternate screen is shown.
    pub is_alternate: bool,
    pub is_cursor_shown: bool,
    /// Whether what is pasted comes in brackets.
    pub is_paste_marked: bool,
    /// The beginning of a character or of a sequence.
    pending: Vec<u8>,
}

impl Screen {
    #[must_use]
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            cells: vec![BLANK; columns * rows],
            column: 0,
            row: 0,
            look: Look::default(),
            is_alternate: false,
            is_cursor_shown: true,
            is_paste_marked: false,
            pending: Vec::new(),
        }
    }

    /// Another size; what was shown is gone, for the program paints it anew.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        let Self { is_alternate, is_cursor_shown, is_paste_marked, .. } = *self;
        let pending = std::mem::take(&mut self.pending);
        let new = Self::new(columns, rows);
        *self = Self { is_alternate, is_cursor_shown, is_paste_marked, pending, ..new };
    }

    /// Rows of cells.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.columns.max(1))
    }

    /// Columns of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The first line that holds a text.
    #[must_use]
    pub fn line(&self, text: &str) -> Option<String> {
        self.to_string().lines().find(|line| line.contains(text)).map(str::to_owned)
    }

    /// Whether a text stands on one line.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        self.line(text).is_some()
    }

    /// The program writes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(taken) = self.one(rest) {
            rest = &rest[taken..];
        }
        self.pending = rest.to_vec();
    }

    /// Does what stands first; gives its length, or none where it is not whole.
    fn one(&mut self, bytes: &[u8]) -> Option<usize> {
        match bytes {
            [] => None,
            [0x1b, b'[', rest @ ..] => {
                let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
                let arguments = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.control(&arguments, rest[end]);
                Some(end + 3)
            }
            [0x1b] => None,
            [0x1b, ..] => Some(2),
            [b'\r', ..] => {
                self.column = 0;
                Some(1)
            }
            [b'\n', ..] => {
                self.row = (self.row + 1).min(self.rows.saturating_sub(1));
                Some(1)
            }
            [0..=0x1f | 0x7f, ..] => Some(1),
            [first, ..] => {
                let length = match first {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xff => 4,
                    _ => 1,
                };
                let text = String::from_utf8_lossy(bytes.get(..length)?).into_owned();
                self.put(text.chars().next().unwrap_or(' '));
                Some(length)
            }
        }
    }

    fn put(&mut self, character: char) {
        let at = self.row * self.columns + self.column;
        if self.column < self.columns
            && let Some(cell) = self.cells.get_mut(at)
        {
            *cell = Cell { character, look: self.look };
            self.column += 1;
        }
    }

    fn control(&mut self, arguments: &str, command: u8) {
        let number = |at: usize| -> usize {
            arguments.split(';').nth(at).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        match command {
            b'H' => {
                self.row = number(0).max(1) - 1;
                self.column = number(1).max(1) - 1;
            }
            b'A' => self.row = self.row.saturating_sub(number(0).max(1)),
            b'B' => self.row += number(0).max(1),
            b'C' => self.column += number(0).max(1),
            b'D' => self.column = self.column.saturating_sub(number(0).max(1)),
            b'G' => self.column = number(0).max(1) - 1,
            b'J' => self.clear(match number(0) {
                0 => (self.row * self.columns + self.column, self.cells.len()),
                1 => (0, self.row * self.columns + self.column),
                _ => (0, self.cells.len()),
            }),
            b'K' => self.clear(match number(0) {
                0 => (self.row * self.columns + self.column, (self.row + 1) * self.columns),
                1 => (self.row * self.columns, self.row * self.columns + self.column),
                _ => (self.row * self.columns, (self.row + 1) * self.columns),
            }),
            b'm' => self.looks(arguments),
            b'h' | b'l' => self.switch(arguments, command == b'h'),
            _ => {}
        }
    }

    fn clear(&mut self, (from, to): (usize, usize)) {
        let to = to.min(self.cells.len());
        if let Some(cells) = self.cells.get_mut(from.min(to)..to) {
            cells.fill(BLANK);
        }
    }

    fn switch(&mut self, mode: &str, on: bool) {
        match mode {
            "?1049" => {
                self.is_alternate = on;
                self.cells.fill(BLANK);
            }
            "?25" => self.is_cursor_shown = on,
            "?2004" => self.is_paste_marked = on,
            _ => {}
        }
    }

    fn looks(&mut self, arguments: &str) {
        let mut numbers = arguments.split(';').map(|text| text.parse::<u8>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            let look = &mut self.look;
            match number {
                0 => *look = Look::default(),
                1 => look.is_bold = true,
                2 => look.is_dim = true,
                7 => look.is_reversed = true,
                22 => (look.is_bold, look.is_dim) = (false, false),
                27 => look.is_reversed = false,
                30..=37 => look.foreground = Colour::Palette(number - 30),
                38 => look.foreground = colour(&mut numbers),
                39 => look.foreground = Colour::Default,
                40..=47 => look.background = Colour::Palette(number - 40),
                48 => look.background = colour(&mut numbers),
                49 => look.background = Colour::Default,
                58 => {
                    colour(&mut numbers);
                }
                90..=97 => look.foreground = Colour::Palette(number - 82),
                100..=107 => look.background = Colour::Palette(number - 92),
                _ => {}
            }
        }
    }
}

fn colour(numbers: &mut impl Iterator<Item = u8>) -> Colour {
    match numbers.next() {
        Some(5) => Colour::Palette(numbers.next().unwrap_or(0)),
        Some(2) => {
            let mut next = || numbers.next().unwrap_or(0);
            Colour::Rgb(next(), next(), next())
        }
        _ => Colour::Default,
    }
}

impl fmt::Display for Screen {
    /// Lines without the blanks at their ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rows() {
            let line: String = row.iter().map(|cell| cell.character).collect();
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_shown_where_it_is_written() {
        let mut screen = Screen::new(10, 3);
        screen.write("\u{1b}[2;3Hä█\u{1b}[1;1H\u{1b}[1;38;5;6;4".as_bytes());
        screen.write(b"1mx\x1b[0m\x1b[?25l\x1b[?104");
        screen.write(b"9hy\r\n\x1b[7mz");
        assert!(screen.is_alternate && !screen.is_cursor_shown);
        assert_eq!(screen.to_string(), " y\nz\n\n");
        let z = screen.rows().nth(1).unwrap()[0];
        assert!(z.look.is_reversed && !z.look.is_bold);

        let mut screen = Screen::new(4, 2);
        screen.write(b"\x1b[1;38;5;6;41mabcdefgh\x1b[39;22;97mi");
        assert_eq!(screen.to_string(), "abcd\n\n");
        let a = screen.rows().next().unwrap()[0];
        assert_eq!(a.look.foreground, Colour::Palette(6));
        assert_eq!((a.look.background, a.look.is_bold), (Colour::Palette(1), true));
        assert_eq!(screen.look.foreground, Colour::Palette(15));
        screen.write(b"\x1b[1;2H\x1b[K");
        assert_eq!(screen.to_string(), "a\n\n");
        screen.write(b"\x1b[2J\x1b[9;9Hx\x1b[Ax");
        assert_eq!(screen.to_string(), "\n\n");
        assert_eq!(screen.line("x"), None);
    }
}
