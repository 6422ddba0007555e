//! Keeps pages of other sites from using what a browser sends by itself: its cookies.
use crate::cors;
use crate::problem::{Code, Problem};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that another site's page makes, unless its origin is one that may call.
/// Programs that are no browsers send neither header.
pub(crate) fn check(headers: &HeaderMap, origins: &[String]) -> Result<(), Problem> {
    if cors::allowed(headers, origins).is_some() {
        return Ok(());
    }
    let is_foreign = match headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes()) {
        // The browser knows best: it says so also behind a proxy that changes the host.
        Some(b"same-origin") => false,
        Some(b"cross-site") => true,
        Some(_) | None => has_foreign_origin(headers),
    };
    if is_foreign {
        let detail = "a page of another site may not use this address";
        return Err(Problem::new(Code::CrossSite, detail));
    }
    Ok(())
}

/// Whether there is an `Origin` that is not the host which the request is for.
fn has_foreign_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    !authority.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_site_and_listed_origins_pass() {
        let listed = ["https://tickets.example".to_owned()];
        for (site, origin, passes) in [
            (None, None, true),
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("https://shop.example"), true),
            (Some("none"), None, true),
            (Some("same-site"), None, true),
            (Some("same-site"), Some("https://blog.shop.example"), false),
            (Some("cross-site"), None, false),
            (Some("cross-site"), Some("https://shop.example"), false),
            (Some("cross-site"), Some("https://tickets.example"), true),
            (None, Some("https://shop.example"), true),
            (None, Some("http://SHOP.example"), true),
            (None, Some("https://shop.example.evil"), false),
            (None, Some("https://shop.example:8443"), false),
            (None, Some("null"), false),
            (None, Some("https://tickets.example"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "shop.example".parse().unwrap());
            for (name, value) in [(SEC_FETCH_SITE, site), (ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(check(&headers, &listed).is_ok(), passes, "{site:?} {origin:?}");
        }
    }
}
