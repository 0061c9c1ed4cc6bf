//! How one window is divided among cameras.

use crate::canvas::Area;

/// Between tiles, in pixels.
const GAP: u32 = 2;
/// What a tile is made for: most cameras' pictures are as wide.
const PROPORTIONS: (u32, u32) = (16, 9);

/// The tiles of so many cameras, row by row from the top left. As many columns as give the largest pictures; the last row may be shorter. Tiles do not overlap, and cover
/// the window but for the gaps between them.
pub(crate) fn tiles(window: Area, count: usize) -> Vec<Area> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count == 0 {
        return Vec::new();
    }
    let pixels = |columns: u32| {
        let cell = cell(window, columns, count.div_ceil(columns), 0);
        let picture = cell.fitting(PROPORTIONS.0, PROPORTIONS.1);
        u64::from(picture.width) * u64::from(picture.height)
    };
    // Of as good ones the one with fewer columns.
    let columns = (1..=count)
        .rev()
        .max_by_key(|&columns| pixels(columns))
        .unwrap_or(1);
    let rows = count.div_ceil(columns);
    (0..count)
        .map(|index| cell(window, columns, rows, index))
        .collect()
}

fn cell(window: Area, columns: u32, rows: u32, index: u32) -> Area {
    let side = |whole: u32, parts: u32, part: u32| {
        let edge = |part: u32| {
            let edge = u64::from(whole) * u64::from(part) / u64::from(parts.max(1));
            u32::try_from(edge).unwrap_or(u32::MAX)
        };
        let (from, to) = (edge(part), edge(part + 1));
        let gap = if part + 1 < parts { GAP } else { 0 };
        (from, (to - from).saturating_sub(gap))
    };
    let (x, width) = side(window.width, columns, index % columns.max(1));
    let (y, height) = side(window.height, rows, index / columns.max(1));
    Area {
        x: window.x + x,
        y: window.y + y,
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(window: (u32, u32), count: usize, columns: usize) {
        let tiles = tiles(Area::of_size(window.0, window.1), count);
        assert_eq!(tiles.len(), count);
        let in_first_row = tiles.iter().take_while(|tile| tile.y == tiles[0].y).count();
        assert_eq!(in_first_row, columns, "{tiles:?}");
    }

    #[test]
    fn pictures_are_as_large_as_they_can_be() {
        check((1920, 1080), 1, 1);
        check((1920, 1080), 2, 2);
        check((600, 1600), 2, 1);
        check((1920, 1080), 4, 2);
        check((1280, 1024), 6, 2);
        check((1920, 1080), 6, 3);
        check((1920, 1080), 9, 3);
        check((1920, 1080), 16, 4);
        check((4000, 100), 5, 5);
    }

    #[test]
    fn tiles_lie_in_the_window_and_never_on_one_another() {
        for window in [(1280, 720), (1, 1), (0, 0), (31, 300)] {
            let window = Area {
                x: 5,
                y: 7,
                width: window.0,
                height: window.1,
            };
            for count in 0..40 {
                let tiles = tiles(window, count);
                assert_eq!(tiles.len(), count);
                for y in 0..window.height.min(300) {
                    let row: Vec<_> = tiles
                        .iter()
                        .filter(|tile| tile.contains(tile.x, y + 7))
                        .collect();
                    for (at, tile) in row.iter().enumerate() {
                        assert!(tile.x >= 5 && tile.x + tile.width <= 5 + window.width);
                        assert!(row[..at].iter().all(|left| left.x + left.width <= tile.x));
                    }
                }
            }
        }
    }

    #[test]
    fn more_cameras_than_pixels_have_empty_tiles() {
        assert!(
            tiles(Area::of_size(3, 1), 50)
                .iter()
                .any(|tile| tile.is_empty())
        );
    }
}
