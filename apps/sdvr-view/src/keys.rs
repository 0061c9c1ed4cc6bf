//! What the user wants when a key is pressed.

use winit::event::{ElementState, KeyEvent};
use winit::keyboard::{Key, KeyCode, NamedKey, PhysicalKey};

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    ToggleOverlay,
    ToggleFullScreen,
    Photograph,
    /// Out of the full screen, or back to all cameras.
    Back,
    Quit,
}

/// What a key means. On keyboards of other letters the keys count that have these letters elsewhere.
pub(crate) fn command(event: &KeyEvent) -> Option<Command> {
    if event.state != ElementState::Pressed || event.repeat {
        return None;
    }
    match &event.logical_key {
        Key::Named(NamedKey::Escape) => Some(Command::Back),
        Key::Named(NamedKey::F11) => Some(Command::ToggleFullScreen),
        Key::Character(text) if text.is_ascii() => match text.to_ascii_lowercase().as_str() {
            "o" => Some(Command::ToggleOverlay),
            "f" => Some(Command::ToggleFullScreen),
            "s" => Some(Command::Photograph),
            "q" => Some(Command::Quit),
            _ => None,
        },
        Key::Character(_) => match event.physical_key {
            PhysicalKey::Code(KeyCode::KeyO) => Some(Command::ToggleOverlay),
            PhysicalKey::Code(KeyCode::KeyF) => Some(Command::ToggleFullScreen),
            PhysicalKey::Code(KeyCode::KeyS) => Some(Command::Photograph),
            PhysicalKey::Code(KeyCode::KeyQ) => Some(Command::Quit),
            _ => None,
        },
        _ => None,
    }
}
