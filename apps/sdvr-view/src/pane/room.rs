//! How large windows are when they open.

use winit::dpi::PhysicalSize;

use crate::canvas::Area;

/// Of a screen that does not tell.
const SCREEN_DEFAULT: PhysicalSize<u32> = PhysicalSize::new(1280, 800);
/// Smaller ones cannot be taken hold of.
const SMALLEST: PhysicalSize<u32> = PhysicalSize::new(160, 120);

/// The size of a picture, or as much smaller as lets the window fit on the screen with all that is around it.
pub(super) fn with_room(
    picture: (u32, u32),
    screen: Option<PhysicalSize<u32>>,
) -> PhysicalSize<u32> {
    let (width, height) = picture;
    let screen = screen.unwrap_or(SCREEN_DEFAULT);
    let room = Area::of_size(screen.width / 10 * 9, screen.height / 10 * 9);
    let fits = width <= room.width && height <= room.height;
    let size = if fits {
        Area::of_size(width, height)
    } else {
        room.fitting(width, height)
    };
    PhysicalSize::new(
        size.width.max(SMALLEST.width),
        size.height.max(SMALLEST.height),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(picture: (u32, u32), screen: (u32, u32), expected: (u32, u32)) {
        let screen = PhysicalSize::new(screen.0, screen.1);
        assert_eq!(
            with_room(picture, Some(screen)),
            PhysicalSize::new(expected.0, expected.1)
        );
    }

    #[test]
    fn pictures_are_shown_as_they_are_if_there_is_room() {
        check((640, 480), (1920, 1080), (640, 480));
        check((1920, 1080), (3840, 2160), (1920, 1080));
        check((1920, 1080), (1920, 1080), (1728, 972));
        check((7680, 4320), (1280, 1024), (1152, 648));
        check((1, 1), (1920, 1080), (160, 120));
        check((65_535, 1), (1920, 1080), (1728, 120));
    }
}
