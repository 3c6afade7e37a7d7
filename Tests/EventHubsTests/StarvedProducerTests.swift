import EventHubs
import Glibc
import LocalHub
import Logging
import NIOCore
import TestSupport
import Testing

/// A hub that takes one message and then neither answers nor gives credit.
struct StarvedProducerTests {
    @Test func aHubWithoutCreditLeavesTheBufferAndTheMemoryBounded() async throws {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.partitionCount = 1
        configuration.linkCredit = 1
        configuration.onDelivery = { _ in .silence }
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        var buffering = BufferingOptions()
        buffering.maximumBufferLength = 1_000_000
        buffering.maximumBufferSizeInBytes = 8 << 20
        let client = try EventHubBufferedProducerClient(connectionString: hub.connectionString, buffering: buffering)
        try await client.connect()

        let event = EventData(body: ByteBuffer(repeating: 7, count: 64 << 10))
        let before = Self.residentBytes
        var taken = 0
        for _ in 0..<20_000 where try client.tryEnqueue(event) { taken += 1 }
        // Eight mebibytes and the batch that is with the hub, in events of 64 KiB.
        #expect((120...145).contains(taken))
        #expect(client.totalBufferedEventCount == taken)
        let late = await withTaskGroup(of: EventHubsError.Code?.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    do {
                        try await client.enqueue(event, timeout: .milliseconds(50))
                        return nil
                    } catch {
                        return (error as? EventHubsError)?.code
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(late == Array(repeating: .timeout, count: 200))
        #expect(client.totalBufferedEventCount == taken)
        // The buffer, its batches as they grow, and what a debug build needs.
        #expect(Self.residentBytes - before < 40 << 20)
        try? await client.close(flush: false, timeout: .milliseconds(100))
        await hub.stop()
    }

    private static var residentBytes: Int {
        let fields = ChildProcess.text("/proc/self/statm").split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
