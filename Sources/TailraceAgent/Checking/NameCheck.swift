import Glibc
internal import NIOCore

/// The addresses of a name, from the system's resolver.
enum NameCheck {
    struct Failure: Error {
        var message: String
        var remedy: String
    }

    static func isAddress(_ host: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
    }

    /// Asks on a thread of its own, which ends when the resolver does: nobody can interrupt that.
    static func addresses(of host: String, on eventLoop: any EventLoop) -> EventLoopFuture<[String]> {
        let promise = eventLoop.makePromise(of: [String].self)
        let thread = DedicatedThread.start("resolver") {
            promise.completeWith(Result { try resolve(host) })
        }
        pthread_detach(thread)
        return promise.futureResult
    }

    private static func resolve(_ host: String) throws -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else { throw failure(code, host) }
        defer { freeaddrinfo(list) }
        var texts: [String] = []
        var next = list
        while let entry = next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                texts.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            next = entry.ai_next
        }
        return texts
    }

    private static func failure(_ code: Int32, _ host: String) -> Failure {
        let reason = code == EAI_SYSTEM ? SystemError.describe(errno) : String(cString: gai_strerror(code))
        return switch code {
        case EAI_NONAME:
            Failure(message: "there is no such name (\(reason))", remedy: "correct the host in the configuration")
        case EAI_AGAIN:
            Failure(
                message: "no name server answers (\(reason))",
                remedy: "check this machine's DNS: getent ahosts \(host) asks the same")
        default:
            Failure(message: reason, remedy: "check this machine's DNS: getent ahosts \(host) asks the same")
        }
    }
}
