import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL

/// How requests are sent: no redirects, a limited response, all within one deadline.
enum OutboundRequest {
    /// So much of a response's body is read, which frees the connection for the next request, and no more.
    static let maximumAnswer = 64 << 10

    /// - Parameters:
    ///   - roots: the authorities that may sign certificates. nil: the system's.
    ///   - overrides: addresses to connect to, by host name. TLS still asks for the name.
    static func client(
        on group: any EventLoopGroup, connections: Int, roots: [NIOSSLCertificate]?, overrides: [String: String] = [:]
    ) -> HTTPClient {
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // RetryPlan decides when to try again.
        settings.connectionPool.retryConnectionEstablishment = false
        settings.dnsOverride = overrides
        if let roots {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .certificates(roots)
            settings.tlsConfiguration = tls
        }
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: settings)
    }

    /// Posts, and reads the response's head and the beginning of its body. Once there is a head, the status counts: a body
    /// that is too long or does not end changes nothing.
    static func post(
        _ body: ByteBuffer, to url: String, headers: HTTPHeaders, by client: HTTPClient, before deadline: NIODeadline,
        now: Double
    ) async -> RetryPlan.Outcome {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers = headers
        request.body = .bytes(body)
        do {
            let answer = try await client.execute(request, deadline: deadline)
            await discard(answer.body, before: deadline)
            let retryAfter = answer.headers.first(name: "retry-after").flatMap { RetryAfter.seconds($0, now: now) }
            return .answered(status: Int(answer.status.code), retryAfter: retryAfter)
        } catch {
            return .failed(reason: reason(error))
        }
    }

    private static func discard(_ body: HTTPClientResponse.Body, before deadline: NIODeadline) async {
        let end = ContinuousClock.now + .nanoseconds((deadline - .now()).nanoseconds)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                var count = 0
                do {
                    for try await part in body {
                        count += part.readableBytes
                        if count >= maximumAnswer { break }
                    }
                } catch {
                    // The head has arrived: the rest is of no interest.
                }
            }
            group.addTask { try? await Task.sleep(until: end) }
            await group.next()
            group.cancelAll()
        }
    }

    private static let notTrusted =
        "TLS failed: its certificate is for another name, expired, or of an unknown authority"

    /// Without the URL: its path may be a capability.
    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError:
            let timeouts: [HTTPClientError] = [
                .deadlineExceeded, .connectTimeout, .readTimeout, .writeTimeout, .getConnectionFromPoolTimeout,
                .tlsHandshakeTimeout,
            ]
            return timeouts.contains(error) ? "no answer in time" : "the connection failed (\(error.shortDescription))"
        // Their descriptions name source files of the machine that built the program.
        case is NIOSSLExtraError: return notTrusted
        case is NIOSSLError, is BoringSSLError:
            return "\(error)".contains("CERTIFICATE_VERIFY_FAILED") ? notTrusted : "TLS failed"
        case let error as EscalationError: return error.description
        case let error as ForbiddenAddress: return error.description
        default: return "it could not be reached (\(String("\(error)".prefix(200))))"
        }
    }
}
