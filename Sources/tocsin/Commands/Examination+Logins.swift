import AsyncHTTPClient
import Gateway
import NIOCore
import NIOPosix
import RedisClient

extension Examination {
    /// One finding per login that can be checked without a client: its files, the issuer's keys, the sessions' Redis.
    func logins() async -> [Finding] {
        var findings: [Finding] = []
        for (name, entry) in configuration.authentication.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .header, .callback: continue
            case .jwt(let login): findings.append(await token("login \(name)", login))
            case .djangoSession(let login): findings.append(await session("login \(name)", login))
            }
        }
        return findings
    }

    private func token(_ check: String, _ login: TokenLogin) async -> Finding {
        do {
            if case .remote(let remote) = login.source {
                let client = HTTPClient(
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: GatewayCommand.httpSettings)
                let answer: Result<[VerificationKey], any Error>
                do {
                    answer = .success(try await RemoteKeySet.fetch(remote, client))
                } catch {
                    answer = .failure(error)
                }
                try? await client.shutdown()
                let keys = try answer.get()
                return Finding(
                    check: check, verdict: .fine,
                    detail: "\(keys.count) key\(keys.count == 1 ? "" : "s") at its address")
            }
            let algorithms = Set(try login.fixedKeys().flatMap(\.algorithms)).map(\.rawValue).sorted()
            return Finding(check: check, verdict: .fine, detail: algorithms.joined(separator: ", "))
        } catch let error as ConfigurationError {
            return Finding(check: check, verdict: .wrong, detail: "\(error)")
        } catch {
            return Finding(check: check, verdict: .warning, detail: "the keys cannot be had now: \(error)")
        }
    }

    private func session(_ check: String, _ login: SessionLogin) async -> Finding {
        do {
            switch login.engine {
            case .signedCookies(let secrets, let file, _):
                let count = try login.secrets(secrets, file: file).count
                return Finding(check: check, verdict: .fine, detail: "\(count) secret key\(count == 1 ? "" : "s")")
            case .cache(let cache):
                let settings = try configuration.redisConfiguration(
                    .server(cache.address), clientName: "tocsin-command")
                let client = try await RedisClient.start(
                    settings, on: MultiThreadedEventLoopGroup.singleton.any(), logger: Self.silent)
                let error: (any Error)?
                do {
                    try await client.waitUntilUp(.seconds(3))
                    error = nil
                } catch let failure { error = failure }
                await client.close()
                return error.map { Finding(check: check, verdict: .warning, detail: "\($0)") }
                    ?? Finding(check: check, verdict: .fine, detail: "\(cache.address) answers")
            }
        } catch {
            return Finding(check: check, verdict: .wrong, detail: "\(error)")
        }
    }
}
