import Glibc
import LocalHub
import Logging
import PulsarBroker
import TestSupport

@testable import tailrace

/// The service that an installation's agent sends to: a process of its own that can be killed and started again.
protocol CrashService: AnyObject {
    /// The table of the agent's output; known once it was started.
    var output: String { get }
    func start() throws
    func kill()
    func stop() throws
    /// What it has stored, partition by partition, in the order of each.
    func forEachBody(_ body: (UnsafeRawBufferPointer) -> Void) throws
}

/// A hub of Event Hubs' kind.
final class CrashHub: CrashService {
    fileprivate let directory: TemporaryDirectory
    private let program: String
    private let idempotent: String
    private let key = "a2V5LW9mLXRoZS1jcmFzaC10ZXN0"
    private var hub: DemoHub?
    /// Stays when it is started again.
    private var address = "127.0.0.1:0"

    /// - Parameter idempotent: of the output.
    init(_ directory: TemporaryDirectory, idempotent: String) throws {
        self.directory = directory
        self.idempotent = idempotent
        program = try ChildProcess.built("tailrace")
    }

    var output: String {
        """
        [output.hub]
        type = "eventhubs"
        connection_string = "\(hub?.connectionString ?? "")"
        ca_file = "\(hub?.authorityFile ?? "")"
        key = "source"
        idempotent = "\(idempotent)"
        """
    }

    func start() throws {
        let hub = try DemoHub.start(in: directory.path, address: address, key: key, program: program)
        address = hub.address
        self.hub = hub
    }

    func kill() { hub?.process.kill() }

    func stop() throws {
        guard hub?.process.stop(seconds: 30) == true else {
            throw Installation.Failure(description: "the hub did not stop")
        }
    }

    func forEachBody(_ body: (UnsafeRawBufferPointer) -> Void) throws {
        let logger = Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() }
        for partition in 0..<DemoHub.partitions {
            try HubStore.forEachBody(directory: directory("hub-store"), partition: partition, logger: logger, body)
        }
    }
}

extension CrashHub {
    /// As `forEachBody`, with the property that tells where a record comes from.
    func forEachRecord(_ body: (_ body: [UInt8], _ source: String?) -> Void) throws {
        let logger = Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() }
        for partition in 0..<DemoHub.partitions {
            try HubStore.forEachMessage(directory: directory("hub-store"), partition: partition, logger: logger) {
                message in
                guard case .data(let parts) = message.body else { return body([], nil) }
                var source: String?
                if case .string(let text) = message.applicationProperties[string: "source"] { source = text }
                body(parts.flatMap { Array($0.readableBytesView) }, source)
            }
        }
    }
}

/// The Pulsar broker of these tests.
final class CrashBroker: CrashService {
    private let directory: TemporaryDirectory
    private let program: String
    private let port: Int
    private let options: [String]
    private let compression: String
    private var process: OwnProcess?

    /// - Parameters:
    ///   - options: of the broker.
    ///   - compression: of the output.
    init(_ directory: TemporaryDirectory, options: [String] = [], compression: String = "none") throws {
        self.directory = directory
        self.options = options
        self.compression = compression
        program = try ChildProcess.built("pulsar-broker")
        port = try LocalPort.free()
    }

    var output: String {
        """
        [output.pulsar]
        type = "pulsar"
        service_url = "pulsar://127.0.0.1:\(port)"
        topic = "logs"
        compression = "\(compression)"
        key = "source"
        """
    }

    /// Returns when it listens.
    func start() throws {
        let log = directory("broker")
        unlink("\(log).out")
        let process = try OwnProcess(
            ["serve", "--store", directory("broker-store"), "--port", "\(port)", "--partitions", "logs=4"] + options,
            log: log, program: program)
        self.process = process
        for _ in 0..<1500 {
            if OwnProcess.text("\(log).out").contains("ready\n") { return }
            if process.hasEnded { break }
            usleep(10_000)
        }
        throw Installation.Failure(description: "the broker does not start: \(process.lastErrors)")
    }

    func kill() { process?.kill() }

    /// It knows no other end; what it acknowledged is in its store.
    func stop() { kill() }

    func forEachBody(_ body: (UnsafeRawBufferPointer) -> Void) throws {
        for (_, messages) in try StoredMessage.all(inStore: directory("broker-store")) {
            for message in messages { message.payload.withUnsafeReadableBytes(body) }
        }
    }
}
