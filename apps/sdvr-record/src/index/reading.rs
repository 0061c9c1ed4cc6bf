//! What is asked of an index.

use rusqlite::OptionalExtension;

use super::rebuild;
use super::segment::{GAP_COLUMNS, SEGMENT_COLUMNS, read_gap, read_segment};
use super::{Gap, Index, IndexError, NewestTimes, Segment, SegmentId, Summary};
use crate::UtcTime;

/// When segments begin and end.
type Times<'a> = dyn Iterator<Item = rusqlite::Result<(UtcTime, UtcTime)>> + 'a;

impl Index {
    /// Segments that are being written, or were when their recorder was ended.
    ///
    /// # Errors
    ///
    /// When the index cannot be read; so also below.
    pub fn unfinished(&self) -> Result<Vec<Segment>, IndexError> {
        self.segments_where("state = 'open' ORDER BY id", [])
    }

    /// One segment; `None` when it was removed.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn segment(&self, id: SegmentId) -> Result<Option<Segment>, IndexError> {
        let found = self.segments_where("id = ?1", [id.0])?;
        Ok(found.into_iter().next())
    }

    /// The segment whose file has this path.
    pub(super) fn segment_at(&self, path: &str) -> Result<Option<Segment>, IndexError> {
        let found = self.segments_where("path = ?1", [path])?;
        Ok(found.into_iter().next())
    }

    /// All segments with frames from `from` to `to`, in the order in which they were recorded.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn segments(&self, from: UtcTime, to: UtcTime) -> Result<Vec<Segment>, IndexError> {
        self.segments_where(
            "begins <= ?2 AND (ends >= ?1 OR state = 'open') ORDER BY id",
            [from.0, to.0],
        )
    }

    /// The first of the finished segments in the order of recording after `after`.
    pub(crate) fn oldest_finished(&self, after: SegmentId) -> Result<Option<Segment>, IndexError> {
        let found =
            self.segments_where("id > ?1 AND state <> 'open' ORDER BY id LIMIT 1", [after.0])?;
        Ok(found.into_iter().next())
    }

    /// When the first segment after `after` began whose last frame is not later than `now`.
    pub(crate) fn next_not_in_future(
        &self,
        after: SegmentId,
        now: UtcTime,
    ) -> Result<Option<UtcTime>, IndexError> {
        let sql = "SELECT begins FROM segments WHERE id > ?1 AND ends <= ?2 ORDER BY id LIMIT 1";
        self.read(|connection| {
            let found = connection
                .prepare_cached(sql)?
                .query_row([after.0, now.0], |row| row.get(0).map(UtcTime));
            found.optional()
        })
    }

    /// What `look` makes of the times of the segments, of which the one recorded last comes first. It is asked again only when these have changed: there
    /// may be thousands, and this is wanted every few seconds.
    pub(crate) fn newest_times(
        &mut self,
        look: impl FnOnce(&mut Times<'_>) -> rusqlite::Result<Option<NewestTimes>>,
    ) -> Result<Option<NewestTimes>, IndexError> {
        if let Some(times) = self.newest_times {
            return Ok(times);
        }
        let times = self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT begins, ends FROM segments ORDER BY id DESC")?;
            let mut times =
                statement.query_map([], |row| Ok((UtcTime(row.get(0)?), UtcTime(row.get(1)?))))?;
            look(&mut times)
        })?;
        self.newest_times = Some(times);
        Ok(times)
    }

    /// What is missing in a segment or before it, in the order in which it was noted.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn gaps(&self, id: SegmentId) -> Result<Vec<Gap>, IndexError> {
        let sql = format!("SELECT {GAP_COLUMNS} FROM gaps WHERE segment = ?1 ORDER BY id");
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([id.0], |row| read_gap(row).map(|(_, gap)| gap))?;
            rows.collect()
        })
    }

    /// All recordings together.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn summary(&self) -> Result<Summary, IndexError> {
        let sql = "SELECT count(*), total(state <> 'complete'), min(begins), max(ends), \
                   sum(frames), sum(lost), sum(bytes), (SELECT count(*) FROM gaps) FROM segments";
        let count = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
        self.read(|connection| {
            connection.query_row(sql, [], |row| {
                let not_complete: f64 = row.get(1)?;
                Ok(Summary {
                    segments: count(row.get(0)?),
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a count of rows"
                    )]
                    not_complete: not_complete as u64,
                    first: row.get::<_, Option<i64>>(2)?.map(UtcTime),
                    last: row.get::<_, Option<i64>>(3)?.map(UtcTime),
                    frames: count(row.get(4)?),
                    lost: count(row.get(5)?),
                    bytes: count(row.get(6)?),
                    gaps: count(row.get(7)?),
                })
            })
        })
    }

    fn segments_where(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Segment>, IndexError> {
        let sql = format!("SELECT {SEGMENT_COLUMNS} FROM segments WHERE {condition}");
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(parameters, read_segment)?;
            rows.collect()
        })
    }

    /// The paths of all recordings that are there, whether the index knows them or not.
    pub(crate) fn files_on_disk(&self) -> Result<Vec<String>, IndexError> {
        rebuild::read_paths(&self.folder)
    }
}
