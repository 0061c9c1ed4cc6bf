// In which kinds this browser can show frames, best first (PROTOCOL.md).

/** Of each kind a codec that a browser which has the kind can decode; whether it can decode a given camera's is found out when that is known. */
const EXAMPLES = { h264: 'avc1.42e01e', h265: 'hvc1.1.6.L93.B0', vp8: 'vp8', vp9: 'vp09.00.10.08', av1: 'av01.0.04M.08' };

export async function supportedKinds() {
  const kinds = [];
  for (const [kind, codec] of Object.entries(EXAMPLES)) {
    if (await canDecode(codec)) {
      kinds.push(kind);
    }
  }
  if (canPlay('avc1.42e01e')) {
    kinds.push('mp4');
  }
  return [...kinds, 'jpeg'];
}

/** Whether a `VideoDecoder` takes this codec. Browsers have none on pages that came neither by HTTPS nor from this machine. */
export async function canDecode(codec) {
  if (!('VideoDecoder' in globalThis)) {
    return false;
  }
  try {
    return (await VideoDecoder.isConfigSupported({ codec })).supported === true;
  } catch {
    return false;
  }
}

/** Whether a `SourceBuffer` takes this codec in MP4. */
export function canPlay(codec) {
  const MediaSource = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
  return MediaSource?.isTypeSupported(mediaType(codec)) === true;
}

export function mediaType(codec) {
  return `video/mp4; codecs="${codec}"`;
}
