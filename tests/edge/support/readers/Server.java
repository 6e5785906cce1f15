// Answers with the paths that the JDK's own parser reads in a request's target, as a JSON list.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;

public class Server {
    static String quoted(String path) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : (path == null ? "" : path).toCharArray()) out.append(String.format("\\u%04x", (int) c));
        return out.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            URI target = exchange.getRequestURI();
            String body = "[" + quoted(target.getPath()) + "," + quoted(target.normalize().getPath()) + ","
                + quoted(target.getRawPath()) + "]";
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}
