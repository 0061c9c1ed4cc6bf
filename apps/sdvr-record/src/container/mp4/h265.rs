//! What an H.265 sequence parameter set says that `hvcC` repeats (H.265, 7.3.2.2.1 and 7.3.3; ISO/IEC 14496-15, 8.3.3.1).

use mp4_atom::Hvcc;
use sdvr_frame::bits::without_emulation_prevention;
use sdvr_frame::h265::SequenceParameters;

/// All of the configuration but the parameter sets; `None` if the unit ends early or contradicts itself.
pub(super) fn configuration(sequence: &[u8]) -> Option<Hvcc> {
    let parameters = SequenceParameters::parse(sequence)?;
    let payload = without_emulation_prevention(sequence.get(2..)?);
    // Profile, compatibility, constraints, level.
    let [profile, compatibility @ .., level] = *payload.get(1..13)?.first_chunk::<12>()?;
    let (general_profile_compatibility_flags, constraints) = compatibility.split_first_chunk()?;
    let narrow = |value: u32, most: u32| u8::try_from(value).ok().filter(|_| value <= most);
    let (luma, chroma) = parameters.extra_depths?;
    Some(Hvcc {
        general_profile_space: profile >> 6,
        general_tier_flag: profile & 0x20 != 0,
        general_profile_idc: profile & 0x1f,
        general_profile_compatibility_flags: *general_profile_compatibility_flags,
        general_constraint_indicator_flags: *constraints.first_chunk()?,
        general_level_idc: level,
        chroma_format_idc: narrow(parameters.chroma_format, 3)?,
        bit_depth_luma_minus8: narrow(luma, 7)?,
        bit_depth_chroma_minus8: narrow(chroma, 7)?,
        num_temporal_layers: narrow(parameters.extra_sub_layers, 6)?.checked_add(1)?,
        temporal_id_nested: parameters.is_nested,
        length_size_minus_one: 3,
        ..Hvcc::new()
    })
}
