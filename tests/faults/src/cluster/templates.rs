//! Clusters to begin with: made once in a run, the ordinary way, and copied for each case.
//!
//! They are not fresh from the founding: seat 0 has lost its volume once and joined again,
//! and seat 2 was scaled away and came back, so both have an old volume with the data of a
//! member that was removed.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use muster_api::birth::BirthRecord;

use super::judge;
use super::volumes::Volumes;
use super::{Cluster, writer::Writer};
use crate::run::Kit;
use crate::wait::{secs, until};

/// A cluster whose power went off.
pub(crate) struct Template {
    volumes: Volumes,
    birth: BirthRecord,
    replicas: u32,
}

/// The clusters to begin with.
pub(crate) struct Templates {
    /// Two members, and an old volume of the seats 0 and 2.
    pub(crate) two: Template,
    /// Three members, and an old volume of the seats 0 and 2.
    pub(crate) three: Template,
}

impl Templates {
    /// Makes them: found, grow, lose a volume, shrink, grow.
    pub(crate) async fn make(kit: &Rc<Kit>, folder: &Path) -> Result<Self> {
        let birth = BirthRecord::unclaimed("", true);
        let cluster = Cluster::new(kit, 200, folder.join("making"), 1, &birth).await?;
        let made = Self::make_with(&cluster, folder).await;
        if made.is_err() {
            crate::run::keep_evidence(&cluster, "templates", &[])?;
        }
        cluster.close().await?;
        made
    }

    async fn make_with(cluster: &Rc<Cluster>, folder: &Path) -> Result<Self> {
        let settle = async |wanted| {
            until(&format!("{wanted} members at rest"), secs(60), async || {
                judge::look(cluster, wanted).await
            })
            .await
        };
        cluster.ensure_pods()?;
        settle(1).await.context("founding")?;
        let writer = Writer::start(cluster);
        cluster.scale(3)?;
        settle(3).await.context("growing")?;
        cluster.lose_pod(0, |volumes| volumes.retire(0)).await?;
        cluster.ensure_pods()?;
        settle(3).await.context("replacing seat 0")?;
        cluster.shrink(2)?;
        settle(2).await.context("shrinking")?;
        writer.finish(cluster).await?;
        cluster.volumes.borrow_mut().retire(2);
        cluster.lose_all_pods().await?;
        let two = Self::take(cluster, folder.join("two"))?;
        cluster.ensure_pods()?;
        cluster.scale(3)?;
        settle(3).await.context("growing again")?;
        cluster.lose_all_pods().await?;
        let three = Self::take(cluster, folder.join("three"))?;
        Ok(Self { two, three })
    }

    fn take(cluster: &Cluster, folder: std::path::PathBuf) -> Result<Template> {
        let mut volumes = Volumes::new(folder);
        volumes.copy(&cluster.volumes.borrow())?;
        Ok(Template {
            volumes,
            birth: cluster.objects.birth_record().context("there is no birth record")?,
            replicas: cluster.objects.replicas(),
        })
    }
}

impl Template {
    /// A copy of this cluster, its pods not yet started.
    pub(crate) async fn copy(&self, kit: &Rc<Kit>, slot: u8, folder: std::path::PathBuf) -> Result<Rc<Cluster>> {
        let cluster = Cluster::new(kit, slot, folder, self.replicas, &self.birth).await?;
        cluster.volumes.borrow_mut().copy(&self.volumes)?;
        Ok(cluster)
    }
}
