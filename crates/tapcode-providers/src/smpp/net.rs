//! How is an SMSC reached? TCP, and TLS where it is wanted.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::session::{Dial, Stream};
use crate::config_error::ConfigError;

/// Whether and how a connection is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// TLS, with a certificate that this machine trusts.
    #[default]
    Machine,
    /// TLS, with a certificate that one of these (PEM) has signed.
    Authority(Vec<u8>),
    /// In clear.
    Off,
}

/// Where an SMSC is.
pub(super) struct Tcp {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Tcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Tcp {
    pub(super) fn new(host: &str, port: u16, tls: &Tls) -> Result<Self, ConfigError> {
        let tls = match tls {
            Tls::Off => None,
            Tls::Machine | Tls::Authority(_) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| ConfigError {
                    key: "address",
                    remedy: "a host and a port, such as \"smpp.example.com:3550\"",
                })?;
                Some((TlsConnector::from(Arc::new(client(tls)?)), name))
            }
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

fn client(tls: &Tls) -> Result<ClientConfig, ConfigError> {
    let unreadable = ConfigError {
        key: "tls_ca_file",
        remedy: "a file with the certificate of whoever signs the SMSC's, in PEM",
    };
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("the library's own versions are among its own ciphers'");
    let builder = match tls {
        Tls::Authority(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(|_| unreadable)?).map_err(|_| unreadable)?;
            }
            if roots.is_empty() {
                return Err(unreadable);
            }
            builder.with_root_certificates(roots)
        }
        Tls::Machine | Tls::Off => builder.with_platform_verifier().map_err(|_| ConfigError {
            key: "tls",
            remedy: "false, or tls_ca_file: this machine has no certificates to trust",
        })?,
    };
    Ok(builder.with_no_client_auth())
}

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        })
    }
}
