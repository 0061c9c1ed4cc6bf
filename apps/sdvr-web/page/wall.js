// How large the tiles of the mosaic are: as large as they can be with all of them in view; where they would be too small, it is scrolled.

/** The picture of a tile, as the style has it. */
const ASPECT = 16 / 9;
const LEAST_WIDTH = 280;
/** Who has so many cameras is used to small pictures. */
const MANY = 17;
const LEAST_WIDTH_OF_MANY = 230;
/** A phone held upright has two beside each other, unless they are few. */
const NARROW = 640;
const FEW = 4;
const LEAST_WIDTH_WHERE_NARROW = 150;

/**
 * Lays `count` tiles into a room of `width` and `height`, with `gap` between them and `captionHeight` below each picture; all in CSS pixels.
 * Gives { columns, tileWidth }.
 */
export function layOut({ count, width, height, gap, captionHeight }) {
  const leastWidth = Math.min(width, leastWidthOf(count, width));
  const tileWidthWith = (columns, rows) => {
    const byWidth = (width - gap * (columns - 1)) / columns;
    const byHeight = ((height - gap * (rows - 1)) / rows - captionHeight) * ASPECT;
    return Math.floor(Math.min(byWidth, byHeight));
  };
  let best = { columns: 1, tileWidth: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const tileWidth = tileWidthWith(columns, Math.ceil(count / columns));
    if (tileWidth > best.tileWidth) {
      best = { columns, tileWidth };
    }
  }
  if (best.tileWidth >= leastWidth) {
    return best;
  }
  // Scrolled, but no tile is higher than the room, unless that leaves next to nothing.
  const columns = Math.max(1, Math.min(count, Math.floor((width + gap) / (leastWidth + gap))));
  return { columns, tileWidth: Math.max(tileWidthWith(columns, 1), Math.min(width, LEAST_WIDTH_WHERE_NARROW)) };
}

function leastWidthOf(count, width) {
  if (width < NARROW && count > FEW) {
    return LEAST_WIDTH_WHERE_NARROW;
  }
  return count >= MANY ? LEAST_WIDTH_OF_MANY : LEAST_WIDTH;
}
