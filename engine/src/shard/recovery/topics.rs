//! The directories of partitions, when the new journals are complete: what was deleted goes, what
//! metadata does not know is kept in `orphans/`, files that no partition lists any more are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Fate, Recovery, RecoveryReport, Share};
use crate::journal::start::StartError;
use crate::log::segment::parse_file_name;
use crate::log::state::PartitionState;
use crate::rt::Errno;
use crate::types::{PartitionId, PartitionIndex, TopicId};

impl Recovery<'_> {
    /// Removes directories of deleted partitions, moves those of unknown ones, and removes segment
    /// files that no known partition lists any more.
    pub(super) async fn clean_topics(
        &self,
        shares: &[Share],
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let states: BTreeMap<PartitionId, &PartitionState> = shares
            .iter()
            .flat_map(|share| &share.partitions)
            .map(|partition| (partition.state.id, &partition.state))
            .collect();
        let mut changed = BTreeSet::new();
        for (id, dir) in self.partition_dirs().await? {
            match (self.fate)(id) {
                Fate::Known(_) => {
                    if let (Some(state), false) = (states.get(&id), report.clean) {
                        let before = report.strays;
                        self.remove_strays(&dir, state, report).await?;
                        changed.extend((report.strays > before).then_some(dir));
                    }
                }
                Fate::Deleted => {
                    self.remove_dir(&dir).await?;
                    changed.extend(dir.ancestors().skip(1).take(2).map(Path::to_owned));
                    if !report.deleted.contains(&id) {
                        report.deleted.push(id);
                    }
                }
                Fate::Unknown => {
                    self.move_to_orphans(id, &dir).await?;
                    report.orphans.push(id);
                }
            }
        }
        self.sync_removals(changed).await
    }

    /// Nobody looks for what was removed here any more, so no power cut may bring it back: the topic of a deleted
    /// partition is forgotten next, and a clean stop may follow.
    async fn sync_removals(&self, changed: BTreeSet<PathBuf>) -> Result<(), StartError> {
        for dir in changed {
            match self.rt.sync_dir(&dir).await {
                // It went with what was in it.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(StartError::io(&dir)(errno)),
            }
        }
        Ok(())
    }

    async fn remove_strays(
        &self,
        dir: &Path,
        state: &PartitionState,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        for file in self.names(dir).await? {
            let Some(name) = parse_file_name(&file) else { continue };
            let listed = state.segments.iter().any(|record| record.name == name);
            if listed {
                continue;
            }
            // A segment that a term voided, that lies below the log start, or that was allocated
            // ahead and never used: checkpoint and journal say that nothing in it counts.
            let path = dir.join(&file);
            tracing::info!(path = %path.display(), "removing a segment file that belongs to nothing");
            self.rt.unlink(&path).await.map_err(StartError::io(&path))?;
            report.strays += 1;
        }
        Ok(())
    }

    async fn remove_dir(&self, dir: &Path) -> Result<(), StartError> {
        for file in self.names(dir).await? {
            let path = dir.join(file);
            self.rt.unlink(&path).await.map_err(StartError::io(&path))?;
        }
        self.rt.remove_dir(dir).await.map_err(StartError::io(dir))?;
        self.remove_empty_topic(dir).await
    }

    async fn remove_empty_topic(&self, dir: &Path) -> Result<(), StartError> {
        let topic = dir.parent().expect("partition directories lie in a topic's");
        match self.rt.remove_dir(topic).await {
            Ok(()) | Err(Errno::ENOTEMPTY | Errno::ENOENT) => Ok(()),
            Err(errno) => Err(StartError::io(topic)(errno)),
        }
    }

    async fn move_to_orphans(&self, id: PartitionId, dir: &Path) -> Result<(), StartError> {
        let orphans = self.data_dir.join("orphans");
        self.rt
            .create_dirs_below(self.data_dir, &orphans)
            .await
            .map_err(StartError::io(&orphans))?;
        let target = orphans.join(id.to_string());
        self.rt.rename(dir, &target).await.map_err(StartError::io(dir))?;
        self.rt.sync_dir(&orphans).await.map_err(StartError::io(&orphans))?;
        let topic = dir.parent().expect("partition directories lie in a topic's");
        self.rt.sync_dir(topic).await.map_err(StartError::io(topic))?;
        tracing::error!(%id, path = %target.display(), "data of an unknown partition is kept here");
        self.remove_empty_topic(dir).await
    }

    pub(super) async fn partition_dirs(&self) -> Result<Vec<(PartitionId, PathBuf)>, StartError> {
        let topics = self.data_dir.join("topics");
        let mut found = Vec::new();
        for topic in self.dirs(&topics).await? {
            let Ok(uuid) = uuid::Uuid::try_parse(&topic) else { continue };
            let topic_dir = topics.join(&topic);
            for index in self.dirs(&topic_dir).await? {
                let Ok(number) = index.parse() else { continue };
                let topic = TopicId(uuid.into_bytes());
                let id = PartitionId { topic, index: PartitionIndex(number) };
                found.push((id, topic_dir.join(index)));
            }
        }
        Ok(found)
    }

    async fn dirs(&self, dir: &Path) -> Result<Vec<String>, StartError> {
        match self.rt.list_dir(dir).await {
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(StartError::io(dir)(errno)),
            Ok(names) => {
                let dirs = names.into_iter().filter(|entry| entry.is_dir);
                Ok(dirs.map(|entry| entry.name).collect())
            }
        }
    }

    pub(super) async fn names(&self, dir: &Path) -> Result<Vec<String>, StartError> {
        match self.rt.list_dir(dir).await {
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(StartError::io(dir)(errno)),
            Ok(names) => {
                let files = names.into_iter().filter(|entry| !entry.is_dir);
                Ok(files.map(|entry| entry.name).collect())
            }
        }
    }
}
