// Waits in line in an Android app or on a JVM:
//
//     CookieHandler.setDefault(CookieManager())  // once, at the start of the app: the place in line is a cookie
//     val answer = Line { status -> showPlace(status) }.send("POST", URL("https://shop.example/checkout/order"), body)
//
// It blocks: call it on a background thread, such as `runInterruptible(Dispatchers.IO) { ... }`. To interrupt the
// thread ends the wait. org.json is a part of Android.
import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.net.URLEncoder
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.random.Random
import org.json.JSONObject

class Answer(val code: Int, val state: String?, val body: String)

/** The wait ended without an admission: sold out or closed for good. */
class LineOver(val status: JSONObject) : IOException("the line is over: " + status.getString("state"))

/** One visitor. onStatus gets every status document. */
class Line(private val onStatus: (JSONObject) -> Unit) {
    /** Sends a request; if it meets the line, waits and sends it once more, because the shop did not get it before. */
    fun send(method: String, url: URL, body: ByteArray? = null): Answer {
        val first = exchange(method, url, body)
        if (first.state == null || first.state == "admitted") return first
        await(url, JSONObject(first.body))
        return exchange(method, url, body)
    }

    private fun await(url: URL, first: JSONObject) {
        val poll = URL(url, "/_stanchion/status?room=" + URLEncoder.encode(first.getString("room"), "UTF-8"))
        var status = first
        var failures = 0
        while (status.getString("state") != "admitted") {
            if (failures == 0) onStatus(status)
            if (status.isNull("poll_after_seconds")) throw LineOver(status)
            val after = status.getDouble("poll_after_seconds")
            val least = if (failures > 0) min(60.0, 2.0.pow(failures)) else max(0.5, after)
            Thread.sleep((1000 * (least + Random.nextDouble() * min(0.25, 0.03 * least))).toLong())
            try {
                val answer = exchange("GET", poll, null)
                if (answer.code == 404) return // the room was removed
                if (answer.state != null) status = JSONObject(answer.body)
                failures = if (answer.state != null) 0 else failures + 1
            } catch (fault: IOException) {
                failures += 1
            }
        }
    }

    private fun exchange(method: String, url: URL, body: ByteArray?): Answer {
        val connection = url.openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.readTimeout = 15000 // a parked poll is answered within 5 s
        connection.useCaches = false
        connection.setRequestProperty("Accept", "application/json")
        if (body != null) {
            connection.doOutput = true
            connection.outputStream.use { it.write(body) }
        }
        val code = connection.responseCode
        val stream = if (code < 400) connection.inputStream else connection.errorStream
        val text = stream?.use { String(it.readBytes()) } ?: ""
        return Answer(code, connection.getHeaderField("Stanchion-State"), text)
    }
}
