//! The same account over HTTPS, for clients that insist on it: signed by an authority of its own, made anew at each start.
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Names that the certificate is good for: every account, Sell, and this machine.
const NAMES: [&str; 4] = ["*.zendesk.com", "api.getbase.com", "localhost", "127.0.0.1"];

/// The authority's certificate in the folder given: what a client has to trust.
pub const AUTHORITY: &str = "ca.pem";

/// A listener that speaks TLS.
pub struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    /// Makes an authority, whose certificate it writes to `folder`, and a certificate signed by it; listens.
    pub async fn bind(listen: &str, folder: &Path) -> Result<Self> {
        let config = make(folder)?;
        Ok(Self { tcp: TcpListener::bind(listen).await?, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.tcp.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // A client that connects and says nothing must not hold up the others for long.
            let shake = tokio::time::timeout(Duration::from_secs(2), self.acceptor.accept(stream));
            if let Ok(Ok(stream)) = shake.await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn make(folder: &Path) -> Result<ServerConfig> {
    let authority = authority().map_err(Error::other)?;
    let key = KeyPair::generate().map_err(Error::other)?;
    let names = NAMES.map(str::to_owned).to_vec();
    let certificate = CertificateParams::new(names).and_then(|params| params.signed_by(&key, &authority));
    let certificate = certificate.map_err(Error::other)?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(AUTHORITY), authority.pem())?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).map_err(Error::other)?;
    let chain = vec![certificate.der().clone()];
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authority() -> std::result::Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "zendesk-sim, for tests only");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}
