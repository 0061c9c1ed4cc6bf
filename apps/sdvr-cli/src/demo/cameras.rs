//! The cameras of the demonstration: a format and a link each.

use std::fmt;

/// A test camera.
pub(super) struct DemoCamera {
    pub(super) label: &'static str,
    pub(super) source: &'static str,
    /// What tells `sdvrc` the link; TCP without.
    pub(super) link: Option<&'static str>,
}

/// Over every link that needs no privileges: raw Ethernet does.
pub(super) const CAMERAS: [DemoCamera; 4] = [
    DemoCamera {
        label: "front-door",
        source: "test:?format=MJPG&size=1280x720&fps=30",
        link: None,
    },
    DemoCamera {
        label: "workbench",
        source: "test:?format=YUYV&size=640x480&fps=25",
        link: None,
    },
    DemoCamera {
        label: "garden",
        source: "test:?format=MJPG&size=1280x720&fps=30",
        link: Some("-u"),
    },
    DemoCamera {
        label: "microscope",
        source: "test:?format=GREY&size=640x480&fps=15",
        link: Some("-u"),
    },
];

/// As a user would start it.
impl fmt::Display for DemoCamera {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.map(|link| format!("{link} ")).unwrap_or_default();
        write!(
            formatter,
            "sdvrc {link}-n {} -i '{}'",
            self.label, self.source
        )
    }
}
