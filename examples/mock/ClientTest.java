// A client in Java against the emulator: `java examples/mock/ClientTest.java PATH-OF-EFFECTS`.
// `makePicture` stands for the client that you write; the rest is how to test it. It needs a JDK of 17
// or later and nothing else, so JSON is read with patterns: use your own library instead.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class ClientTest {
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static String baseUrl;
    static String apiKey;

    /** Submits a photo and waits for its picture. A create is never sent twice: it may have been paid. */
    static String makePicture(String template, String photo) throws Exception {
        String body = """
            {"model":"spark_img_effects","input":[{"params":{"image_input1":"%s","template_id":"%s"}}]}"""
            .formatted(photo, template);
        HttpResponse<String> created = send("POST", "/model/v1/generation", body);
        if (created.statusCode() != 200) throw new IllegalStateException("HTTP " + created.statusCode());
        String id = field(created.body(), "id");
        while (true) {
            HttpResponse<String> look = send("GET", "/model/v1/generation/task/" + id, null);
            // Looking costs nothing, so a look may be tried again.
            String status = look.statusCode() == 200 ? field(look.body(), "status") : "in_progress";
            if (status.equals("completed")) return field(look.body(), "url");
            if (status.equals("failed")) throw new IllegalStateException(field(look.body(), "code"));
            Thread.sleep(10);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Process emulator = new ProcessBuilder(arguments[0], "emulator", "--json", "--pictures", "stub")
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try {
            String started = new BufferedReader(new InputStreamReader(emulator.getInputStream())).readLine();
            baseUrl = field(started, "base_url");
            apiKey = field(started, "api_key");
            run("a photo becomes a picture, and is paid for once", () -> {
                makePicture("glass_ball", "https://example.com/cat.jpg");
                verified("{\"match\":{\"endpoint\":\"create\",\"status\":200},\"count\":1}");
            });
            run("looks that fail are outlasted", () -> {
                control("next", "{\"on\":\"task\",\"faults\":[{\"kind\":\"status\",\"status\":503}]}");
                makePicture("glass_ball", "https://example.com/cat.jpg");
                verified("{\"match\":{\"endpoint\":\"task\"},\"count\":2}");
            });
            run("a failed task is an error with the service's code", () -> {
                control("next", "{\"faults\":[{\"kind\":\"fail\",\"code\":\"3009095\"}]}");
                try {
                    makePicture("glass_ball", "https://example.com/cat.jpg");
                } catch (IllegalStateException error) {
                    if (error.getMessage().equals("3009095")) return;
                }
                throw new AssertionError("the task did not fail");
            });
            System.out.println("3 passed, 0 failed");
        } finally {
            emulator.destroy();
            emulator.waitFor();
        }
    }

    interface Case {
        void run() throws Exception;
    }

    /** Each test begins with an emulator that has seen nothing. */
    static void run(String name, Case test) throws Exception {
        control("reset", "{}");
        test.run();
        System.out.println("ok: " + name);
    }

    static void verified(String request) throws Exception {
        String verdict = control("verify", request);
        if (!verdict.contains("\"verified\":true")) throw new AssertionError(field(verdict, "message"));
    }

    static String control(String path, String body) throws Exception {
        HttpResponse<String> answer = send("POST", "/_emulator/" + path, body);
        if (answer.statusCode() >= 300) throw new AssertionError(path + ": " + answer.body());
        return answer.body();
    }

    static HttpResponse<String> send(String method, String path, String body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(baseUrl + path))
            .header("Authorization", "Bearer " + apiKey).header("Content-Type", "application/json");
        HttpRequest.BodyPublisher sent = body == null
            ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
        return HTTP.send(request.method(method, sent).build(), HttpResponse.BodyHandlers.ofString());
    }

    /** The first text of this name in JSON. */
    static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
        if (!found.find()) throw new IllegalStateException("no " + name + " in " + json);
        return found.group(1);
    }
}
