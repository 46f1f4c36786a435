// Runs one task with sea-sdk-go and prints its picture's URL, or the error as the client tells it.
//
// client_cases.py calls it with the address, the key, the template, the photo and the seconds of the wait.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	sa "github.com/SeaArt-Infra/sea-sdk-go"
)

func picture(baseURL, key, template, photo string, wait time.Duration) (string, error) {
	client, err := sa.New(&sa.ClientConfig{APIKey: key, BaseURL: baseURL})
	if err != nil {
		return "", err
	}
	params := map[string]any{"image_input1": photo, "template_id": template}
	body := sa.JSONMap{"model": "spark_img_effects", "input": []map[string]any{{"params": params}}}
	task, err := client.Modal.Create(context.Background(), body)
	if err != nil {
		return "", err
	}
	task, err = task.Wait(context.Background(), sa.WithPollInterval(50*time.Millisecond), sa.WithPollTimeout(wait))
	if err != nil {
		return "", err
	}
	return task.Output[0].Content[0].URL, nil
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[5], 64)
	if err != nil {
		panic(err)
	}
	wait := time.Duration(seconds * float64(time.Second))
	url, err := picture(os.Args[1], os.Args[2], os.Args[3], os.Args[4], wait)
	var known *sa.Error
	switch {
	case errors.As(err, &known):
		fmt.Printf("error `%v`: %s\n", known.Kind, known.Message)
	case err != nil:
		fmt.Printf("error: %v\n", err)
	default:
		fmt.Println(url)
	}
}
