//! Writing on pictures, in the letters of one size that the program brings along.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::canvas::{Area, Canvas, Colour, Darkness};

const HEIGHT: RasterHeight = RasterHeight::Size16;
const HEIGHT_PIXELS: u32 = 16;
const _: () = assert!(
    HEIGHT.val() == HEIGHT_PIXELS as usize,
    "it is the height of the letters"
);
const WEIGHT: FontWeight = FontWeight::Regular;
/// Between the letters and the edge of the strip that they stand on.
const MARGIN: u32 = 4;
/// In place of a character that is not among the letters.
const UNKNOWN: char = '?';

/// How large writing is: each pixel of a letter is a square of so many on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u32);

impl Size {
    /// For a screen on which so many pixels are one of an ordinary screen.
    pub(crate) fn for_scale_factor(factor: f64) -> Self {
        if factor >= 1.75 { Self(2) } else { Self(1) }
    }

    /// The height of a line and what it stands on, in pixels.
    pub(crate) const fn line_height(self) -> u32 {
        (HEIGHT_PIXELS + MARGIN) * self.0
    }

    fn letter_width(self) -> u32 {
        u32::try_from(get_raster_width(WEIGHT, HEIGHT)).unwrap_or(1) * self.0
    }
}

/// Where lines of text stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a corner, at the top.
    TopLeft,
    /// In a corner, at the bottom.
    BottomLeft,
    /// In the middle of all.
    Centre,
}

/// Writes lines onto a strip that is darker than what is below it. What has no room in a line at the top is cut off, so that figures keep their places;
/// elsewhere it goes on in the next line, as long as there is one.
pub(crate) fn write(
    canvas: &mut Canvas<'_>,
    room: Area,
    place: Place,
    size: Size,
    lines: &[(&str, Colour)],
) {
    let margin = MARGIN * size.0;
    let letters_most =
        (room.width.saturating_sub(2 * margin) / size.letter_width().max(1)) as usize;
    let lines_most = (room.height / size.line_height().max(1)) as usize;
    let lines: Vec<(Vec<char>, Colour)> = lines
        .iter()
        .flat_map(|&(line, colour)| {
            let lines = match place {
                Place::TopLeft => vec![shortened(line, letters_most)],
                Place::BottomLeft | Place::Centre => wrapped(line, letters_most, lines_most),
            };
            lines.into_iter().map(move |line| (line, colour))
        })
        .take(lines_most)
        .collect();
    let longest = lines.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
    if longest == 0 {
        return;
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let width = count(longest) * size.letter_width() + 2 * margin;
    let height = count(lines.len()) * size.line_height();
    let (x, y) = match place {
        Place::TopLeft => (room.x, room.y),
        Place::BottomLeft => (room.x, room.y + room.height - height),
        Place::Centre => (
            room.x + (room.width - width.min(room.width)) / 2,
            room.y + (room.height - height) / 2,
        ),
    };
    let strip = Area {
        x,
        y,
        width: width.min(room.width),
        height,
    };
    canvas.darken(strip, Darkness::Quarter);
    let mut y = strip.y + margin / 2;
    for (line, colour) in lines {
        let indent = match place {
            Place::Centre => (count(longest) - count(line.len())) * size.letter_width() / 2,
            Place::TopLeft | Place::BottomLeft => 0,
        };
        let mut x = strip.x + margin + indent;
        for letter in line {
            draw(canvas, (x, y), size, letter, colour);
            x += size.letter_width();
        }
        y += size.line_height();
    }
}

/// What there is room for; two dots tell that there was more.
fn shortened(line: &str, most: usize) -> Vec<char> {
    let mut letters: Vec<char> = line.chars().take(most.saturating_add(1)).collect();
    if letters.len() > most {
        letters.truncate(most);
        letters
            .iter_mut()
            .rev()
            .take(2)
            .for_each(|letter| *letter = '.');
    }
    letters
}

/// A line as several that have room, at most so many; broken between words where a word has room.
fn wrapped(line: &str, letters_most: usize, lines_most: usize) -> Vec<Vec<char>> {
    let mut rest: Vec<char> = line.chars().collect();
    let mut lines = Vec::new();
    while letters_most > 0 && rest.len() > letters_most && lines.len() + 1 < lines_most {
        let blank = rest
            .iter()
            .take(letters_most + 1)
            .rposition(|&letter| letter == ' ');
        let behind = rest.split_off(blank.filter(|&at| at > 0).unwrap_or(letters_most));
        let next = behind.into_iter().skip_while(|&letter| letter == ' ');
        lines.push(std::mem::replace(&mut rest, next.collect()));
    }
    lines.push(shortened(&String::from_iter(rest), letters_most));
    lines
}

fn draw(canvas: &mut Canvas<'_>, (x, y): (u32, u32), size: Size, letter: char, colour: Colour) {
    let raster = get_raster(letter, WEIGHT, HEIGHT).or_else(|| get_raster(UNKNOWN, WEIGHT, HEIGHT));
    let Some(raster) = raster else {
        return;
    };
    let times = (size.0 as usize).max(1);
    let area = Area {
        x,
        y,
        width: size.letter_width(),
        height: HEIGHT_PIXELS * size.0,
    };
    let rows = raster
        .rows()
        .flat_map(|row| std::iter::repeat_n(row, times));
    for (to, row) in canvas.rows(area).zip(rows) {
        let shades = row
            .iter()
            .flat_map(|shade| std::iter::repeat_n(shade, times));
        for (to, &shade) in to.iter_mut().zip(shades) {
            *to = blend(*to, colour, shade.into());
        }
    }
}

/// `colour` over `below`, as far as `shade` of 255 says.
fn blend(below: Colour, colour: Colour, shade: u32) -> Colour {
    [16, 8, 0].iter().fold(0, |all, shift| {
        let (below, above) = ((below >> shift) & 255, (colour >> shift) & 255);
        all | ((below * (255 - shade) + above * shade) / 255) << shift
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::WHITE;

    fn written(room: Area, place: Place, line: &str) -> Vec<u32> {
        let mut pixels = vec![0x0040_4040; 200 * 60];
        let mut canvas = Canvas::new(&mut pixels, 200);
        write(&mut canvas, room, place, Size(1), &[(line, WHITE)]);
        pixels
    }

    #[test]
    fn whatever_is_written_stays_in_its_room() {
        let rooms = [
            (0, 0, 0, 0),
            (10, 5, 3, 3),
            (10, 5, 60, 24),
            (150, 30, 50, 30),
        ];
        for (x, y, width, height) in rooms {
            let room = Area {
                x,
                y,
                width,
                height,
            };
            for place in [Place::TopLeft, Place::BottomLeft, Place::Centre] {
                for line in [
                    "",
                    "door",
                    "a line that is longer than all of it",
                    "\u{1b}[31m\u{202e}ä\0",
                ] {
                    let pixels = written(room, place, line);
                    for (at, &pixel) in (0..).zip(&pixels) {
                        let is_inside = room.contains(at % 200, at / 200);
                        assert!(
                            is_inside || pixel == 0x0040_4040,
                            "{line:?} {place:?} {room:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn unknown_characters_look_all_the_same_and_known_ones_do_not() {
        let room = Area::of_size(200, 60);
        let of = |line| written(room, Place::TopLeft, line);
        assert_eq!(of("\u{1b}\u{7}ä"), of("???"));
        assert_ne!(of("abc"), of("abd"));
    }

    #[test]
    fn lines_go_on_in_the_next_one_between_words() {
        #[track_caller]
        fn check(line: &str, letters_most: usize, lines_most: usize, expected: &[&str]) {
            let lines = wrapped(line, letters_most, lines_most);
            let lines: Vec<String> = lines.into_iter().map(String::from_iter).collect();
            assert_eq!(lines, expected);
        }
        check("BNCH cannot be shown", 20, 3, &["BNCH cannot be shown"]);
        check("BNCH cannot be shown", 14, 3, &["BNCH cannot be", "shown"]);
        check("BNCH cannot be shown", 13, 3, &["BNCH cannot", "be shown"]);
        check("BNCH cannot be shown", 6, 2, &["BNCH", "cann.."]);
        check("  /a/long/path", 6, 9, &[" ", "/a/lon", "g/path"]);
        check("", 6, 9, &[""]);
        check("door", 0, 0, &[""]);
    }

    #[test]
    fn what_was_cut_off_is_told() {
        assert_eq!(
            shortened("front-door", 6).iter().collect::<String>(),
            "fron.."
        );
        assert_eq!(
            shortened("front-door", 10).iter().collect::<String>(),
            "front-door"
        );
        assert_eq!(shortened("front-door", 1).iter().collect::<String>(), ".");
        assert!(shortened("front-door", 0).is_empty());
    }
}
