//! Reaching the screen.

use winit::event_loop::EventLoop;

use super::Event;
use crate::error::ViewError;

/// Connects to the screen.
pub(super) fn connect() -> Result<EventLoop<Event>, ViewError> {
    // Libraries of the system are looked for now, and one that is missing is a panic there.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let built = std::panic::catch_unwind(|| EventLoop::with_user_event().build());
    std::panic::set_hook(hook);
    match built {
        Ok(Ok(event_loop)) => Ok(event_loop),
        Ok(Err(error)) => Err(ViewError::NoScreen {
            // Before it stands where in its source that was found.
            cause: error
                .to_string()
                .rsplit(": ")
                .next()
                .unwrap_or_default()
                // It is told amid a sentence.
                .trim_end_matches('.')
                .to_owned(),
        }),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(ViewError::NoLibrary {
                cause: said.unwrap_or("it is not told which").to_owned(),
            })
        }
    }
}
