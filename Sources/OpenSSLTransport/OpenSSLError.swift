import COpenSSL

/// What OpenSSL said on this thread's error queue, in its own words.
enum OpenSSLError {
    /// Takes every entry off the queue: "reason: data (library)", oldest first; "" when the queue is empty.
    static func takeQueue() -> String {
        var texts: [String] = []
        var file: UnsafePointer<CChar>?
        var line: Int32 = 0
        var function: UnsafePointer<CChar>?
        var data: UnsafePointer<CChar>?
        var flags: Int32 = 0
        // The queue holds at most 16 entries, so this ends.
        while true {
            let code = ERR_get_error_all(&file, &line, &function, &data, &flags)
            guard code != 0 else { break }
            var text =
                ERR_reason_error_string(code).map { String(cString: $0) } ?? "error 0x\(String(code, radix: 16))"
            if flags & ERR_TXT_STRING != 0, let data, data.pointee != 0 { text += ": \(String(cString: data))" }
            if let library = ERR_lib_error_string(code) { text += " (\(String(cString: library)))" }
            if texts.last != text { texts.append(text) }
        }
        return texts.joined(separator: "; ")
    }
}
