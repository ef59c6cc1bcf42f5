import Broker
import Foundation
import NIOCore

/// `kind: django_session`: reads the session cookie of a Django site without a request to the site.
///
/// Django itself also checks the session's `_auth_user_hash` against the user's password, and whether the user is active;
/// both need the site's database. A user whose password was changed, or who was deactivated, therefore stays logged in here
/// until the session expires. Where that matters, use `kind: callback`, which asks the site.
public struct DjangoSessionAuthenticator: Authenticator {
    public enum Engine: Sendable {
        /// `django.contrib.sessions.backends.signed_cookies`: the cookie itself holds the session.
        ///
        /// - secrets: SECRET_KEY, then SECRET_KEY_FALLBACKS.
        /// - age: SESSION_COOKIE_AGE, in seconds.
        case signedCookies(secrets: [String], age: Int)
        /// `django.contrib.sessions.backends.cache`: the cookie is the key of an entry in the site's cache.
        case store(any SessionStore)
    }

    /// Longer cookies are refused; browsers keep at most 4 KiB.
    private static let maximumCookie = 8 << 10

    private enum Reader: Sendable {
        case signer(DjangoSigner, age: Int)
        case store(any SessionStore)
    }

    private let reader: Reader
    private let cookie: String
    private let userKey: String
    private let now: @Sendable () -> Double

    /// - Parameters:
    ///   - cookie: SESSION_COOKIE_NAME.
    ///   - userKey: the session entry that names the user. Django's own login writes `_auth_user_id`.
    public init(_ engine: Engine, cookie: String = "sessionid", userKey: String = "_auth_user_id") {
        self.init(engine, cookie: cookie, userKey: userKey, now: { Date().timeIntervalSince1970 })
    }

    init(_ engine: Engine, cookie: String, userKey: String, now: @escaping @Sendable () -> Double) {
        switch engine {
        case .signedCookies(let secrets, let age):
            let salt = "django.contrib.sessions.backends.signed_cookies"
            reader = .signer(DjangoSigner(secrets: secrets, salt: salt), age: age)
        case .store(let store): reader = .store(store)
        }
        self.cookie = cookie
        self.userKey = userKey
        self.now = now
    }

    public func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
        guard let value = RequestCookies.value(cookie, in: request.headers), !value.isEmpty else {
            throw .refused("there is no cookie \(cookie)")
        }
        guard value.utf8.count <= Self.maximumCookie else {
            throw .refused("the session cookie has more than \(Self.maximumCookie) bytes")
        }
        let (bytes, end): (ByteBuffer, Int64?) =
            switch reader {
            case .signer(let signer, let age): try signed(value, signer, age)
            case .store(let store): try await stored(value, store)
            }
        return try identity(bytes, end)
    }

    private func signed(
        _ value: String, _ signer: DjangoSigner, _ age: Int
    ) throws(LoginFailure) -> (ByteBuffer, Int64?) {
        let (payload, signedAt) = try signer.read(value)
        let end = signedAt + Int64(age)
        guard now() <= Double(end) else { throw .refused("the session has expired") }
        return (ByteBuffer(bytes: payload), end)
    }

    private func stored(_ id: String, _ store: any SessionStore) async throws(LoginFailure) -> (ByteBuffer, Int64?) {
        // Django generates 32 characters and accepts 8 or more. Anything else must never become part of a Redis key.
        guard (8...64).contains(id.utf8.count),
            id.utf8.allSatisfy({
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            })
        else { throw .refused("the session cookie is not a session id") }
        let session: StoredSession?
        do {
            session = try await store.session(id)
        } catch {
            throw .unavailable("the sessions cannot be read: \(error)")
        }
        guard let session else { throw .refused("there is no such session") }
        return (session.bytes, session.secondsLeft.map { Int64(now()) + $0 })
    }

    private func identity(_ bytes: ByteBuffer, _ end: Int64?) throws(LoginFailure) -> Identity {
        // How pickles of protocol 2 and later begin (PEP 307). Unpickling can run arbitrary code, so they are never read.
        guard bytes.readableBytesView.first != 0x80 else {
            throw .unavailable(
                "the session is a Python pickle, which is never read: let the site write JSON (docs/configuration.md)")
        }
        guard let session = try? JSONFields(bytes) else { throw .unavailable("the session is not a JSON object") }
        guard let user = session.user(userKey) else { throw .refused("nobody is logged in in this session") }
        var claims = session.scalars
        // Derived from the user's password; keep it out of the claims.
        claims["_auth_user_hash"] = nil
        return Identity(user: user, claims: claims, expiresAt: end)
    }
}
