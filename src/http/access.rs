//! Who may use an API: whoever sends the admin token.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use magpie_core::secret::Secret;
use subtle::ConstantTimeEq as _;

use super::problem::Problem;

/// Lets a request pass that carries `token` as its bearer token. Without a configured token nobody passes.
///
/// # Errors
/// 401, the same for every cause.
pub fn require(request: &HttpRequest, token: &Secret) -> Result<(), Problem> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let kind = match given {
        None => "bearer_missing",
        Some(given) if !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.reveal().as_bytes())) => {
            return Ok(());
        }
        Some(_) => "bearer",
    };
    metrics::counter!("magpie_auth_failures_total", "kind" => kind).increment(1);
    let detail = "Send the service's token as `Authorization: Bearer …`.";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
}

/// The token of `Bearer TOKEN`; the scheme's name ignores case (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(header: &str, token: &str) -> bool {
        let request = TestRequest::default().insert_header((AUTHORIZATION, header)).to_http_request();
        require(&request, &Secret::new(token)).is_ok()
    }

    #[test]
    fn only_the_whole_token_passes() {
        let token = "0123456789abcdef";
        assert!(passes("Bearer 0123456789abcdef", token) && passes("bearer  0123456789abcdef ", token));
        for header in
            ["Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Basic 0123456789abcdef", "Bearer", "Bearer "]
        {
            assert!(!passes(header, token), "{header}");
        }
        assert!(require(&TestRequest::default().to_http_request(), &Secret::new(token)).is_err());
    }

    #[test]
    fn without_a_token_nobody_passes() {
        for header in ["Bearer ", "Bearer x", "Bearer  "] {
            assert!(!passes(header, ""), "{header}");
        }
    }
}
