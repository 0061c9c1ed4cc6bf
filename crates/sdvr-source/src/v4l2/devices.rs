//! What cameras a host has. What does not capture pictures is no camera: metadata nodes, outputs, codecs.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::abi::{self, BufferType, Capability};
use super::device::Device;
use super::names::{Facts, SERIAL_MOST, known_nodes, names_of_twins, nodes, slug};
use super::text;

/// A camera of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its node, such as `/dev/video0`.
    pub path: PathBuf,
    /// The same in another port and after a reboot; among twins, with the port.
    pub stable_name: String,
    /// The same without the port: twins have one.
    pub product_name: String,
    /// Whether there is another camera here with that name.
    pub has_twin: bool,
    /// The place of its hardware in this host, such as `1-2:1.0`.
    pub place: String,
    /// What the driver calls it.
    pub card: String,
    /// The driver.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Why it cannot be opened, with a remedy; `None` when it can.
    pub problem: Option<String>,
}

/// The cameras of this host, in the order of their nodes. Each is opened for a moment, which disturbs nobody who uses it.
#[must_use]
pub fn devices() -> Vec<DeviceInfo> {
    let mut devices: Vec<_> = nodes().iter().filter_map(|node| device(node)).collect();
    tell_twins_apart(&mut devices);
    devices
}

/// Cameras of one kind without serial numbers have the same name; then only their ports tell them apart.
fn tell_twins_apart(devices: &mut [DeviceInfo]) {
    let twins = names_of_twins(
        devices
            .iter()
            .map(|device| (device.product_name.clone(), device.place.clone())),
    );
    for device in devices {
        device.has_twin = twins.contains(&device.product_name);
        if device.has_twin {
            device.stable_name = device.name_with_port();
        }
    }
}

impl DeviceInfo {
    /// What it is called where there are several of its kind: with its port.
    #[must_use]
    pub fn name_with_port(&self) -> String {
        // The end of it tells ports apart: whole parts of it.
        let port = slug(&self.bus, usize::MAX);
        let cut = port.len().saturating_sub(SERIAL_MOST);
        let parts = port.match_indices('-').map(|(at, _)| at + 1);
        let begin = std::iter::once(0).chain(parts).find(|at| *at >= cut);
        let port = port.get(begin.unwrap_or(cut)..).unwrap_or_default();
        format!("{}-{port}", self.product_name)
    }
}

/// What is known of a node; `None` when it is no camera.
pub(crate) fn device(node: &Path) -> Option<DeviceInfo> {
    let facts = Facts::of_node(node);
    let (capability, problem) = match capability(node) {
        Ok(capability) => {
            capture_type(&capability)?;
            (capability, None)
        }
        // Without permission nobody can tell; further nodes of the same hardware are mostly metadata.
        Err(error) if facts.index == 0 => (
            Capability::default(),
            Some(crate::v4l2::open_problem(node, error).to_string()),
        ),
        Err(_) => return None,
    };
    let card = Some(text(&capability.card)).filter(|card| !card.is_empty());
    let bus = Some(text(&capability.bus)).filter(|bus| !bus.is_empty());
    Some(DeviceInfo {
        path: node.to_owned(),
        stable_name: facts.stable_name(),
        product_name: facts.stable_name(),
        has_twin: false,
        card: card.unwrap_or(facts.name),
        driver: text(&capability.driver),
        bus: bus.unwrap_or_else(|| facts.place.clone()),
        place: facts.place,
        problem,
    })
}

fn capability(node: &Path) -> Result<Capability, Errno> {
    let device = Device::open(node)?;
    let mut capability = Capability::default();
    device.query_capability(&mut capability)?;
    Ok(capability)
}

/// How a device captures; `None` when it does not, or is a codec, which captures what it was given before.
pub(crate) fn capture_type(capability: &Capability) -> Option<BufferType> {
    /// `V4L2_CAP_VIDEO_OUTPUT`, `_OUTPUT_MPLANE`, `_M2M_MPLANE`, `_M2M`.
    const OTHER_WAY: u32 = 0x0002 | 0x2000 | 0x4000 | 0x8000;
    let own = abilities(capability);
    if own & OTHER_WAY != 0 {
        None
    } else if own & abi::CAP_VIDEO_CAPTURE_MPLANE != 0 {
        Some(BufferType::MULTI)
    } else if own & abi::CAP_VIDEO_CAPTURE != 0 {
        Some(BufferType::SINGLE)
    } else {
        None
    }
}

/// What the node can do; not what all nodes of its hardware together can.
pub(crate) const fn abilities(capability: &Capability) -> u32 {
    if capability.capabilities & abi::CAP_DEVICE_CAPS != 0 {
        capability.device_caps
    } else {
        capability.capabilities
    }
}

/// The stable name of a node; among twins, with its port.
pub(crate) fn stable_name(node: &Path) -> String {
    let own = Facts::of_node(node);
    let name = own.stable_name();
    // Cheaper than opening all cameras, which only twins need.
    let nodes = known_nodes().into_iter().map(|(_, facts)| facts);
    let all = nodes.chain([own.clone()]);
    let has_twin = names_of_twins(all.map(|facts| facts.name_and_place())).contains(&name);
    if !has_twin {
        return name;
    }
    let twins = devices().into_iter();
    twins
        .filter(|device| device.product_name == name && device.place == own.place)
        .map(|device| device.stable_name)
        .next()
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_told_apart_by_their_ports() {
        let device = |name: &str, bus: &str| DeviceInfo {
            path: PathBuf::new(),
            stable_name: name.to_owned(),
            product_name: name.to_owned(),
            has_twin: false,
            place: bus.to_owned(),
            card: String::new(),
            driver: String::new(),
            bus: bus.to_owned(),
            problem: None,
        };
        let mut devices = [
            device("cam", "usb-0000:00:14.0-1"),
            device("cam", "usb-0000:00:14.0-2.1"),
            device("cam-de5f2b80", "usb-0000:00:14.0-3"),
        ];
        tell_twins_apart(&mut devices);
        assert_eq!(
            devices.each_ref().map(|device| device.has_twin),
            [true, true, false]
        );
        let names = devices.map(|device| device.stable_name);
        assert_eq!(
            names,
            ["cam-0000-00-14-0-1", "cam-0000-00-14-0-2-1", "cam-de5f2b80"]
        );
    }

    #[test]
    fn only_nodes_that_capture_pictures_are_cameras() {
        let of = |capabilities, device_caps| {
            capture_type(&Capability {
                capabilities,
                device_caps,
                ..Default::default()
            })
        };
        let device_caps = abi::CAP_DEVICE_CAPS;
        assert_eq!(of(1, 0), Some(BufferType::SINGLE));
        assert_eq!(of(device_caps | 1, 1), Some(BufferType::SINGLE));
        assert_eq!(of(device_caps | 0x1000, 0x1000), Some(BufferType::MULTI));
        // The second node of a webcam: its hardware captures pictures, it metadata.
        assert_eq!(of(device_caps | 1, 0x0080_0000), None);
        assert_eq!(of(device_caps | 0x8000, 0x8000), None);
        assert_eq!(of(3, 0), None);
    }
}
