// lib/pq through database/sql: what applications do with it.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/lib/pq"
)

var failed = false

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
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code) + " " + e.Message
	}
	return fmt.Sprint(err)
}

func all(db interface {
	Query(string, ...interface{}) (*sql.Rows, error)
}, query string, values ...interface{}) string {
	rows, err := db.Query(query, values...)
	if err != nil {
		return code(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	text := ""
	for rows.Next() {
		cells := make([]interface{}, len(columns))
		for i := range cells {
			cells[i] = new(interface{})
		}
		if err := rows.Scan(cells...); err != nil {
			return code(err)
		}
		for i := range cells {
			value := *(cells[i].(*interface{}))
			if bytes, is := value.([]byte); is {
				value = string(bytes)
			}
			if at, is := value.(time.Time); is {
				value = at.UTC().Format(time.RFC3339Nano)
			}
			text += fmt.Sprintf("%v|", value)
		}
		text += ";"
	}
	if err := rows.Err(); err != nil {
		return text + code(err)
	}
	return text
}

func schema(db *sql.DB) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS orders, customers, countries, notes",
		"CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)",
		`CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
		   born date, seen timestamptz, balance numeric(12,2), rate float8, photo bytea, tags text[], data jsonb)`,
		"CREATE TABLE orders (id bigint, customer_id bigint REFERENCES customers, amount numeric(10,2), PRIMARY KEY (customer_id, id))",
		"CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)",
		"INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')",
	} {
		if _, err := db.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

func crud(db *sql.DB) error {
	insert, err := db.Prepare("INSERT INTO customers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
	if err != nil {
		return err
	}
	for key := 1; key <= 12; key++ {
		at := time.Date(2024, 1, key, 1, 2, 3, 456000, time.UTC)
		done, err := insert.Exec(key, fmt.Sprintf("name %d ü", key), "de", at, at, fmt.Sprintf("%d.25", key),
			float64(key)/3, []byte{0, 255, byte(key)}, pq.Array([]string{"a", "b\"c"}), fmt.Sprintf(`{"k": %d}`, key))
		if err != nil {
			return err
		}
		count, _ := done.RowsAffected()
		say("inserted", count)
	}
	insert.Close()
	var name string
	var tags []string
	err = db.QueryRow("SELECT name, tags FROM customers WHERE id = $1", 5).Scan(&name, pq.Array(&tags))
	say("one", name, tags, err)
	say("none", db.QueryRow("SELECT name FROM customers WHERE id = $1", 99).Scan(&name) == sql.ErrNoRows)
	say("row", all(db, "SELECT * FROM customers WHERE id = $1", 7))
	say("ordered", all(db, "SELECT id, balance FROM customers WHERE id > $1 ORDER BY balance DESC LIMIT 4", 2))
	say("grouped", all(db, "SELECT country, count(*), sum(balance), max(seen) FROM customers GROUP BY country"))
	say("any", all(db, "SELECT id FROM customers WHERE id = ANY($1) ORDER BY id", pq.Array([]int64{2, 4, 6})))
	done, err := db.Exec("UPDATE customers SET rate = $1 WHERE id > $2", 1.5, 3)
	if err != nil {
		return err
	}
	count, _ := done.RowsAffected()
	say("updated", count)
	var id int
	err = db.QueryRow("INSERT INTO notes (body) VALUES ($1) RETURNING id", "first").Scan(&id)
	say("serial", id, err)
	for _, bad := range []string{"INSERT INTO customers (id, name) VALUES (1, 'x')", "SELEC 1", "SELECT * FROM nowhere",
		"INSERT INTO customers (id, name, country) VALUES (60, 'x', 'xx')"} {
		_, err := db.Exec(bad)
		say("error", code(err))
	}
	say("division", all(db, "SELECT 1 / (id - 4) FROM customers ORDER BY id"))
	say("number", all(db, "SELECT * FROM customers WHERE id = $1", "x"))
	return nil
}

func transactions(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for key := 1; key <= 6; key++ {
		if _, err := tx.Exec("INSERT INTO orders VALUES (1, $1, $2)", key, key); err != nil {
			return err
		}
	}
	say("inside", all(tx, "SELECT count(*) FROM orders"))
	tx.Rollback()
	say("outside", all(db, "SELECT count(*) FROM orders"))
	tx, err = db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	say("read only", all(tx, "SELECT name FROM customers WHERE id = 2"))
	_, err = tx.Exec("DELETE FROM customers WHERE id = 2")
	say("refused", code(err))
	tx.Rollback()
	tx, err = db.Begin()
	if err != nil {
		return err
	}
	copyIn, err := tx.Prepare(pq.CopyIn("orders", "id", "customer_id", "amount"))
	if err != nil {
		return err
	}
	for key := 1; key <= 12; key++ {
		if _, err := copyIn.Exec(5, key, "2.5"); err != nil {
			return err
		}
	}
	if _, err := copyIn.Exec(); err != nil {
		return err
	}
	copyIn.Close()
	if err := tx.Commit(); err != nil {
		return err
	}
	say("copied", all(db, "SELECT count(*), sum(amount) FROM orders"))
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	_, err = db.ExecContext(ctx, "SELECT pg_sleep(10)")
	say("cancelled", err != nil)
	say("usable", all(db, "SELECT 1"))
	return nil
}

func concurrent(db *sql.DB) error {
	names := make([]string, 20)
	var group sync.WaitGroup
	for i := range names {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			names[i] = all(db, "SELECT id, name FROM customers WHERE id = $1", i%12+1)
		}(i)
	}
	group.Wait()
	sort.Strings(names)
	say("concurrent", names)
	return nil
}

func main() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL")+"?sslmode=disable&application_name=pq")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(3)
	attempt("schema", func() error { return schema(db) })
	attempt("crud", func() error { return crud(db) })
	attempt("transactions", func() error { return transactions(db) })
	attempt("concurrent", func() error { return concurrent(db) })
	db.Exec("DROP TABLE orders, customers, countries, notes")
	if failed {
		os.Exit(1)
	}
}
