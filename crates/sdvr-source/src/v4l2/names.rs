//! Names for cameras that outlast a reboot and another port.
//!
//! A USB camera is called after its product and its serial number, where that is one (many carry a placeholder); any other after its name and
//! the place of its hardware. Twins, of one product and without serial numbers, have the same name: only their ports tell them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names become labels, which have 63 characters, with the host's name behind them.
const PRODUCT_MOST: usize = 28;
pub(crate) const SERIAL_MOST: usize = 16;
/// A serial number of fewer characters is a placeholder.
const SERIAL_LEAST: usize = 5;

/// The nodes of video devices, cameras or not, in order. None is opened.
#[must_use]
pub fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/dev") else {
        return Vec::new();
    };
    let mut nodes: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path)| path).collect()
}

/// The same, and what the system knows of each.
pub(crate) fn known_nodes() -> Vec<(PathBuf, Facts)> {
    let nodes = nodes().into_iter();
    nodes
        .map(|node| {
            let facts = Facts::of_node(&node);
            (node, facts)
        })
        .collect()
}

/// Which of these cameras, by name and place, are twins: the names that there are at several places.
pub(crate) fn names_of_twins(
    cameras: impl IntoIterator<Item = (String, String)>,
) -> BTreeSet<String> {
    let mut first_places = BTreeMap::new();
    let mut twins = BTreeSet::new();
    for (name, place) in cameras {
        let first_place = first_places
            .entry(name.clone())
            .or_insert_with(|| place.clone());
        if *first_place != place {
            twins.insert(name);
        }
    }
    twins
}

/// What the system knows of a node, without opening it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What the driver calls the node.
    pub(crate) name: String,
    /// Which of the nodes of its hardware it is.
    pub(crate) index: u32,
    /// The hardware's folder, such as `1-1:1.0` or `vivid.0`: the port, of a USB camera.
    pub(crate) place: String,
    pub(crate) usb: Option<Usb>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usb {
    product: String,
    serial: String,
    /// Which function of the device: laptops have an infrared camera in the same one.
    interface: String,
}

impl Facts {
    pub(crate) fn of_node(node: &Path) -> Self {
        // A link such as those of /dev/v4l/by-id leads to the node that has the name.
        let target = fs::canonicalize(node).unwrap_or_else(|_| node.to_owned());
        let name = target.file_name().unwrap_or_default();
        Self::read(&Path::new("/sys/class/video4linux").join(name)).unwrap_or_else(|| Self {
            name: name.to_string_lossy().into_owned(),
            ..Self::default()
        })
    }

    /// Reads a folder of `/sys/class/video4linux`.
    fn read(folder: &Path) -> Option<Self> {
        let name = attribute(folder, "name")?;
        let index = attribute(folder, "index").and_then(|text| text.parse().ok());
        let hardware = fs::canonicalize(folder.join("device")).ok();
        let place = hardware.as_deref().and_then(Path::file_name);
        Some(Self {
            name,
            index: index.unwrap_or(0),
            place: place.unwrap_or_default().to_string_lossy().into_owned(),
            usb: hardware.as_deref().and_then(Usb::read),
        })
    }

    /// What [`names_of_twins`] tells twins by.
    pub(crate) fn name_and_place(&self) -> (String, String) {
        (self.stable_name(), self.place.clone())
    }

    /// What the camera is called.
    pub(crate) fn stable_name(&self) -> String {
        let mut name = match &self.usb {
            Some(usb) => {
                let product = if usb.product.is_empty() {
                    &self.name
                } else {
                    &usb.product
                };
                let mut name = slug(product, PRODUCT_MOST);
                if is_real_serial(&usb.serial) {
                    name = format!("{name}-{}", slug(&usb.serial, SERIAL_MOST));
                }
                match usb.interface.trim_start_matches('0') {
                    "" => name,
                    interface => format!("{name}-i{interface}"),
                }
            }
            None => match (
                slug(&self.name, PRODUCT_MOST),
                slug(&self.place, SERIAL_MOST),
            ) {
                (name, place) if place.is_empty() => name,
                (name, place) => format!("{name}-{place}"),
            },
        };
        if self.index > 0 {
            name = format!("{name}-n{}", self.index);
        }
        name
    }
}

impl Usb {
    /// Reads the interface of a USB device; `None` when the hardware is something else.
    fn read(hardware: &Path) -> Option<Self> {
        let interface = attribute(hardware, "bInterfaceNumber")?;
        let device = hardware.parent()?;
        attribute(device, "idVendor")?;
        Some(Self {
            product: attribute(device, "product").unwrap_or_default(),
            serial: attribute(device, "serial").unwrap_or_default(),
            interface,
        })
    }
}

fn attribute(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// Whether a serial number tells one camera from another. Placeholders are short, of one character, or count up or down.
fn is_real_serial(serial: &str) -> bool {
    /// Found in webcams of many makers.
    const PLACEHOLDERS: [&str; 6] = [
        "200901010001",
        "20100203100001",
        "0123456789ABCDEF",
        "01.00.00",
        "SN0001",
        "SN00001",
    ];
    let significant = serial
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .skip_while(|character| *character == '0');
    let first = significant.clone().next();
    let is_of_one_character = significant
        .clone()
        .all(|character| Some(character) == first);
    let steps_up = || {
        significant
            .clone()
            .zip(significant.clone().skip(1))
            .all(|(a, b)| u32::from(b) == u32::from(a) + 1)
    };
    significant.clone().count() >= SERIAL_LEAST
        && !is_of_one_character
        && !steps_up()
        && !PLACEHOLDERS.contains(&serial)
}

/// Small letters, digits and single dashes; cut at `most` characters.
pub(crate) fn slug(text: &str, most: usize) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if slug.len() >= most {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use sdvr_frame::Label;

    use super::*;

    fn usb(product: &str, serial: &str, interface: &str, index: u32) -> String {
        Facts {
            name: format!("{product}: Video"),
            index,
            place: "1-1:1.0".to_owned(),
            usb: Some(Usb {
                product: product.to_owned(),
                serial: serial.to_owned(),
                interface: interface.to_owned(),
            }),
        }
        .stable_name()
    }

    #[test]
    fn a_usb_camera_is_called_after_itself_not_its_port() {
        let name = usb("HD Pro Webcam C920", "1A2B3C4D", "00", 0);
        assert_eq!(name, "hd-pro-webcam-c920-1a2b3c4d");
        assert_eq!(Label::from_lossy(&name).as_str(), name);
        assert_eq!(usb("", "", "00", 0), "video");
        assert_eq!(
            usb("Integrated Camera", "0001", "02", 0),
            "integrated-camera-i2"
        );
        assert_eq!(usb("Depth", "", "00", 2), "depth-n2");
    }

    #[test]
    fn placeholders_are_no_serial_numbers() {
        for serial in [
            "",
            "0001",
            "000000000001",
            "AAAAAAAA",
            "SN0001",
            "200901010001",
            "12345678",
            "123456789",
        ] {
            assert!(!is_real_serial(serial), "{serial}");
        }
        for serial in ["1A2B3C4D", "DE5F2B80", "8C3A77", "20231107A0042"] {
            assert!(is_real_serial(serial), "{serial}");
        }
    }

    #[test]
    fn other_cameras_are_called_after_their_hardware() {
        let facts = Facts {
            name: "vivid-000-vid-cap".to_owned(),
            place: "vivid.0".to_owned(),
            ..Facts::default()
        };
        assert_eq!(facts.stable_name(), "vivid-000-vid-cap-vivid-0");
    }

    #[test]
    fn long_names_leave_room_for_the_host_s() {
        let name = usb(
            &"Very Long Product Name ".repeat(9),
            &"A1B2".repeat(40),
            "00",
            0,
        );
        assert!(name.len() <= PRODUCT_MOST + 1 + SERIAL_MOST, "{name}");
    }

    #[test]
    fn facts_are_read_from_the_system_s_folders() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("usb1/1-2");
        let interface = device.join("1-2:1.0");
        let node = root.path().join("video4linux/video3");
        fs::create_dir_all(&interface).unwrap();
        fs::create_dir_all(&node).unwrap();
        symlink(&interface, node.join("device")).unwrap();
        for (file, text) in [
            (node.join("name"), "Cam: Cam\n"),
            (node.join("index"), "0\n"),
            (interface.join("bInterfaceNumber"), "00\n"),
            (device.join("idVendor"), "046d\n"),
            (device.join("product"), "Cam\n"),
            (device.join("serial"), "DE5F2B80\n"),
        ] {
            fs::write(file, text).unwrap();
        }
        let facts = Facts::read(&node).unwrap();
        assert_eq!(facts.stable_name(), "cam-de5f2b80");
        assert_eq!(facts.place, "1-2:1.0");
        // No metadata of the node: it is called as its file is.
        let unknown = Facts::of_node(Path::new("/dev/no-such-node"));
        assert_eq!(unknown.stable_name(), "no-such-node");
    }
}
