//! One client connection: versions agreed on once, frames in and out.

use anyhow::{Context, Result, anyhow, bail};
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use net::wire::api::ApiKey;
use net::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use net::wire::{Message, Request, decode_response, encode_request};

/// A frame that is longer would be a mistake, not an answer.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// A connection in request-answer use. [`Self::into_stream`] hands the socket to a workload.
pub(super) struct Connection {
    stream: TcpStream,
    versions: Vec<(i16, i16, i16)>,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects and asks which versions the broker speaks.
    pub(super) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| anyhow!("no connection to {address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| anyhow!("no TCP_NODELAY: {error}"))?;
        let mut this = Self { stream, versions: Vec::new(), answer: Vec::new() };
        let answer: ApiVersionsResponse<'_> =
            this.call_in(0, &ApiVersionsRequest::default()).await?;
        if answer.error_code != 0 {
            bail!("ApiVersions: error {}", answer.error_code);
        }
        this.versions = answer
            .api_keys
            .iter()
            .map(|key| (key.api_key, key.min_version, key.max_version))
            .collect();
        Ok(this)
    }

    /// The newest version of `key` that is not above `ours` and that the broker speaks.
    pub(super) fn version(&self, key: ApiKey, ours: i16) -> Result<i16> {
        let Some((_, min, max)) = self.versions.iter().find(|row| row.0 == key.0) else {
            bail!("the broker does not speak {key}");
        };
        if ours < *min {
            bail!("the broker speaks {key} {min} to {max}, this client {ours}");
        }
        Ok(ours.min(*max))
    }

    /// One request and its answer, in a version of at most `ours`.
    pub(super) async fn call<'s, 'q, R>(
        &'s mut self,
        ours: i16,
        request: &R,
    ) -> Result<R::Response<'s>>
    where
        R: Message<'q> + Request,
    {
        let version = self.version(R::KEY, ours)?;
        self.call_in(version, request).await
    }

    async fn call_in<'s, 'q, R>(&'s mut self, version: i16, request: &R) -> Result<R::Response<'s>>
    where
        R: Message<'q> + Request,
    {
        let frame = encode_request(0, Some("ringmain-bench"), version, request)?;
        self.stream.write_all(&frame.bytes).await?;
        read_frame(&mut self.stream, &mut self.answer).await?;
        let (_, answer) = decode_response(&self.answer, version)
            .with_context(|| format!("the answer to {} version {version}", R::KEY))?;
        Ok(answer)
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Reads one frame into `frame`, without its size; the buffer is kept from frame to frame.
pub(super) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    frame: &mut Vec<u8>,
) -> Result<()> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.context("the broker closed the connection")?;
    let size = i32::from_be_bytes(size);
    let size = usize::try_from(size).ok().filter(|size| *size <= FRAME_BYTES_MAX);
    let size = size.context("the broker sent a frame of an impossible size")?;
    frame.resize(size, 0);
    stream.read_exact(frame).await.context("the broker closed the connection within a frame")?;
    Ok(())
}
