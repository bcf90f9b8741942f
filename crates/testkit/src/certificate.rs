//! Certificates that nobody trusts, and some that nobody should.

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate for a receiver, and the authority that signed it, made for it alone.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    authority_pem: String,
}

/// What is right or wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// It names 127.0.0.1 and localhost, and its time has not run out.
    Valid,
    /// Its time ran out in 2021.
    Expired,
    /// It names `elsewhere.example`.
    OtherHost,
}

impl Certificate {
    /// Makes an authority and a certificate.
    ///
    /// # Errors
    /// If they can't be signed.
    pub fn generate(kind: CertificateKind) -> anyhow::Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name.push(DnType::CommonName, "Ringback test authority");
        let authority_pem = authority.self_signed(&authority_key)?.pem();

        let names: &[&str] = match kind {
            CertificateKind::Valid | CertificateKind::Expired => &["127.0.0.1", "localhost"],
            CertificateKind::OtherHost => &["elsewhere.example"],
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        if kind == CertificateKind::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?;
        Ok(Self { chain: vec![certificate.der().clone()], key: key.serialize_der(), authority_pem })
    }

    /// The certificate of the authority in PEM: who trusts it trusts this certificate.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    pub(crate) fn server_config(&self) -> anyhow::Result<ServerConfig> {
        let provider = rustls::crypto::ring::default_provider();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .context("a receiver's certificate")
    }
}
