/// A contiguous part of a batch whose records share a context of their own, so that a relay with a thousand peers costs
/// no batch per peer: one frame of the spool.
///
/// The entries of its records, and its attribute entries, count from its first byte of the block and from its first
/// record: what lies on disk is what lies in memory.
package struct RecordSection: Sendable {
    /// Its part of the block, of the records and of the attribute entries.
    package var bytes: Range<Int>
    package var records: Range<Int>
    package var attributes: Range<Int>
    /// What its records share (`RecordContext.encoded`).
    package var context: [UInt8]
    /// The source's offset of the section's first byte.
    package var baseOffset: UInt64
}

extension RecordBatch {
    /// Where the next section begins in the block: entries appended now count from here.
    package var sectionStart: Int { sections.last?.bytes.upperBound ?? 0 }
    /// The first record of the next section: attribute entries appended now count from here.
    package var sectionRecord: Int { sections.last?.records.upperBound ?? 0 }

    /// Makes a section of everything appended since the last one (or since the beginning). A batch either has no
    /// sections or consists of them; `position` covers all of it, `context` and `baseOffset` of the batch do not count
    /// any more.
    package func closeSection(context: [UInt8], baseOffset: UInt64 = 0) {
        let last = sections.last
        sections.append(
            RecordSection(
                bytes: (last?.bytes.upperBound ?? 0)..<length,
                records: (last?.records.upperBound ?? 0)..<recordCount,
                attributes: (last?.attributes.upperBound ?? 0)..<attributes.count,
                context: context, baseOffset: baseOffset))
    }

    /// How many parts there are, each a frame: the sections, or the whole batch.
    package var partCount: Int { max(1, sections.count) }

    /// Part `index`: a section, or the whole batch when there are none.
    package func part(_ index: Int) -> RecordSection {
        sections.isEmpty
            ? RecordSection(
                bytes: 0..<length, records: 0..<recordCount, attributes: 0..<attributes.count, context: context,
                baseOffset: baseOffset)
            : sections[index]
    }

    /// Where the block begins for the entry of record `index`.
    func origin(ofRecord index: Int) -> Int {
        if sections.isEmpty { return 0 }
        var (low, high) = (0, sections.count)
        while low < high {
            let middle = (low + high) / 2
            if sections[middle].records.upperBound <= index { low = middle + 1 } else { high = middle }
        }
        return low < sections.count ? sections[low].bytes.lowerBound : sectionStart
    }

    /// Takes out sections without records, which would be frames for nothing.
    package func removeEmptySections() {
        guard !sections.isEmpty else { return }
        let context = sections[0].context
        sections.removeAll { $0.records.isEmpty }
        if sections.isEmpty { self.context = context }
    }
}
