//! A capture that is being taken, from its beginning to its end, however that
//! comes.

use std::sync::Arc;

use tokio::{runtime::Handle, sync::mpsc};

use super::{Losses, Reserved};
use crate::{
    capture::{Frame, Wish},
    daemon::{Error, Shared},
};

/// The only one at its time. Ends when this is dropped.
#[derive(Debug)]
pub struct Capturing {
    shared: Shared,
    number: u64,
    interfaces: Vec<(u32, String)>,
    packets: mpsc::Receiver<Arc<Frame>>,
}

impl Capturing {
    /// Begins one for a user.
    ///
    /// # Errors
    /// There is one already, or the kernel refused.
    pub async fn begin(shared: &Shared, wish: &Wish, uid: u32) -> Result<Self, Error> {
        let mut daemon = shared.daemon().await;
        let Reserved { number, packets } = daemon.begin_capture(wish, uid)?;
        let interfaces = daemon.attached_interfaces();
        Ok(Self { shared: shared.clone(), number, interfaces, packets })
    }

    /// Index and name of the protected interfaces.
    #[must_use]
    pub fn interfaces(&self) -> &[(u32, String)] {
        &self.interfaces
    }

    /// Waits for packets, and adds those that are there; gives how many, 0 when
    /// sipguard stops.
    pub async fn packets(&mut self, into: &mut Vec<Arc<Frame>>, most: usize) -> usize {
        self.packets.recv_many(into, most).await
    }

    /// Packets that it has not got although it asked for them: over its limit,
    /// and without room on their way. `None` where the kernel does not tell.
    pub async fn losses(&self) -> Option<(u64, u64)> {
        let Losses { held_back, lost } = self.shared.daemon().await.capture_losses()?;
        Some((held_back, lost))
    }
}

impl Drop for Capturing {
    fn drop(&mut self) {
        let (shared, number) = (self.shared.clone(), self.number);
        // Without a runtime, everything ends anyway.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { shared.daemon().await.end_capture(number) });
        }
    }
}
