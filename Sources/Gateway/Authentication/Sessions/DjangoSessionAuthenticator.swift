import Broker
import Foundation
import NIOCore

/// `kind: django_session`: the browser's session cookie of a Django site, read without asking the site.
///
/// Django itself also compares the session's `_auth_user_hash` with the user's password, and looks whether the user is active:
/// both need the site's database. So somebody whose password was changed, or who was deactivated, stays logged in here until
/// the session ends. Where that matters, `kind: callback` asks the site.
public struct DjangoSessionAuthenticator: Authenticator {
    public enum Engine: Sendable {
        /// `django.contrib.sessions.backends.signed_cookies`: the session is the cookie.
        ///
        /// - secrets: SECRET_KEY, then SECRET_KEY_FALLBACKS.
        /// - age: SESSION_COOKIE_AGE, in seconds.
        case signedCookies(secrets: [String], age: Int)
        /// `django.contrib.sessions.backends.cache`: the cookie is the name of an entry in the site's cache.
        case store(any SessionStore)
    }

    /// Longer cookies are refused; browsers keep none of more than 4 KiB.
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
    ///   - userKey: the session's entry that names the user. Django's own login writes `_auth_user_id`.
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
        // Django makes 32 characters and takes 8 or more; what is not an id never becomes part of a key.
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
        // Protocol 2 and later begin so (PEP 307). Reading a pickle means running what it says.
        guard bytes.readableBytesView.first != 0x80 else {
            throw .unavailable(
                "the session is a Python pickle, which is never read: let the site write JSON (docs/configuration.md)")
        }
        guard let session = try? JSONFields(bytes) else { throw .unavailable("the session is not a JSON object") }
        guard let user = session.user(userKey) else { throw .refused("nobody is logged in in this session") }
        var claims = session.scalars
        // Made from the user's password.
        claims["_auth_user_hash"] = nil
        return Identity(user: user, claims: claims, expiresAt: end)
    }
}
