// pgx: binary values, batches, COPY, a pool.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var failed = false
var ctx = context.Background()

func say(label string, values ...interface{}) {
	fmt.Printf("%s: %v\n", label, values)
}

// A step that fails says so, and the program goes on with the next one.
func attempt(label string, step func() error) {
	if err := step(); err != nil {
		failed = true
		say(label+" failed", err)
	}
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code + " " + e.Message
	}
	return fmt.Sprint(err)
}

type querier interface {
	Query(context.Context, string, ...interface{}) (pgx.Rows, error)
}

func all(db querier, query string, values ...interface{}) string {
	rows, err := db.Query(ctx, query, values...)
	if err != nil {
		return code(err)
	}
	return text(rows)
}

func text(rows pgx.Rows) string {
	defer rows.Close()
	text := ""
	for rows.Next() {
		cells, err := rows.Values()
		if err != nil {
			return code(err)
		}
		for _, cell := range cells {
			if at, is := cell.(time.Time); is {
				cell = at.UTC().Format(time.RFC3339Nano)
			}
			text += fmt.Sprintf("%v|", cell)
		}
		text += ";"
	}
	if err := rows.Err(); err != nil {
		return text + code(err)
	}
	return text
}

func schema(db *pgxpool.Pool) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS orders, customers, countries, notes",
		"CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)",
		`CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
		   born date, seen timestamptz, balance numeric(12,2), rate float8, photo bytea, tags text[], data jsonb, token uuid)`,
		"CREATE TABLE orders (id bigint, customer_id bigint REFERENCES customers, amount numeric(10,2), PRIMARY KEY (customer_id, id))",
		"CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)",
		"INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')",
	} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func crud(db *pgxpool.Pool) error {
	for key := 1; key <= 12; key++ {
		at := time.Date(2024, 1, key, 1, 2, 3, 456000, time.UTC)
		done, err := db.Exec(ctx, "INSERT INTO customers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", key,
			fmt.Sprintf("name %d ü", key), "de", at, at, fmt.Sprintf("%d.25", key), float64(key)/3, []byte{0, byte(key)},
			[]string{"a", "b"}, map[string]int{"k": key}, [16]byte{byte(key)})
		if err != nil {
			return err
		}
		say("inserted", done)
	}
	for key := 1; key <= 3; key++ {
		say("row", all(db, "SELECT id, name, born, seen, rate, photo, tags, data, token FROM customers WHERE id = $1", key))
	}
	var balance string
	say("scan", db.QueryRow(ctx, "SELECT balance::text FROM customers WHERE id = $1", 4).Scan(&balance), balance)
	say("ordered", all(db, "SELECT id, name FROM customers WHERE id > $1 ORDER BY name LIMIT $2", 2, 4))
	say("grouped", all(db, "SELECT country, count(*), max(seen), sum(rate) > 0 FROM customers GROUP BY country"))
	say("any", all(db, "SELECT id FROM customers WHERE id = ANY($1) ORDER BY id", []int64{2, 4, 6}))
	done, err := db.Exec(ctx, "UPDATE customers SET rate = $1 WHERE id > $2", 1.5, 3)
	say("updated", done, err)
	var id int
	say("serial", db.QueryRow(ctx, "INSERT INTO notes (body) VALUES ($1) RETURNING id", "a").Scan(&id), id)
	_, err = db.Exec(ctx, "INSERT INTO customers (id, name) VALUES ($1, 'x')", 1)
	say("unique", code(err))
	say("table", all(db, "SELECT * FROM nowhere"))
	say("division", all(db, "SELECT 1 / (id - $1) FROM customers ORDER BY id", 4))
	say("simple", all(db, "SELECT id, name FROM customers WHERE id = $1", pgx.QuerySimpleProtocol(true), 6))
	return nil
}

func batches(db *pgxpool.Pool) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	batch := &pgx.Batch{}
	for key := 1; key <= 10; key++ {
		batch.Queue("INSERT INTO orders VALUES ($1, $2, $3)", 1, key, key)
	}
	batch.Queue("SELECT count(*) FROM orders")
	results := tx.SendBatch(ctx, batch)
	for key := 1; key <= 10; key++ {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	say("batch", text(rows))
	if err := results.Close(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func autocommitBatch(db *pgxpool.Pool) error {
	batch := &pgx.Batch{}
	for key := 1; key <= 10; key++ {
		batch.Queue("UPDATE orders SET amount = amount + 1 WHERE customer_id = $1", key)
	}
	if err := db.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	say("sum", all(db, "SELECT sum(amount)::text FROM orders"))
	return nil
}

func copies(db *pgxpool.Pool) error {
	rows := [][]interface{}{}
	for key := 1; key <= 12; key++ {
		rows = append(rows, []interface{}{int64(9), int64(key), float64(key) / 2})
	}
	count, err := db.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "customer_id", "amount"}, pgx.CopyFromRows(rows))
	say("copied", count, err)
	return err
}

func transactions(db *pgxpool.Pool) error {
	err := db.BeginFunc(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE customers SET name = 'x' WHERE id < 4"); err != nil {
			return err
		}
		inner, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		_, err = inner.Exec(ctx, "INSERT INTO customers (id, name) VALUES (1, 'x')")
		say("inner", code(err))
		return inner.Rollback(ctx)
	})
	say("kept", err, all(db, "SELECT count(*) FROM customers WHERE name = 'x'"))
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	_, err = db.Exec(short, "SELECT pg_sleep(10)")
	say("cancelled", err != nil)
	say("usable", all(db, "SELECT 1"))
	return nil
}

func main() {
	for _, mode := range []string{"prepare", "describe"} {
		config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL") + "?sslmode=disable&pool_max_conns=3&statement_cache_mode=" + mode)
		if err != nil {
			panic(err)
		}
		db, err := pgxpool.ConnectConfig(ctx, config)
		if err != nil {
			panic(err)
		}
		say("mode", mode)
		attempt("schema", func() error { return schema(db) })
		attempt("crud", func() error { return crud(db) })
		attempt("batches", func() error { return batches(db) })
		attempt("autocommit batch", func() error { return autocommitBatch(db) })
		attempt("copies", func() error { return copies(db) })
		attempt("transactions", func() error { return transactions(db) })
		db.Exec(ctx, "DROP TABLE orders, customers, countries, notes")
		db.Close()
	}
	if failed {
		os.Exit(1)
	}
}
